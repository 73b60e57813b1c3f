"""The named faults of a stream as data: what each is on the wire, what it usually means, what looks alike."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from kmon.catalog.toml_source import TomlSource, parse_toml
from kmon.errors import UsageError

Group = Literal["this machine", "before the body", "silence", "endings", "content"]


ERROR_NAMES = {
    "dns": "dns-failure",
    "connect": "connect-failure",
    "tls": "tls-failure",
    "reset": "reset-mid-stream",
    "cut": "cut-mid-body",
    "protocol": "protocol-error",
    "not-a-stream": "not-a-stream",
    "malformed-frame": "malformed-frame",
    "in-stream": "error-in-stream",
    "corrupt-frame": "corrupt-frame",
    "credentials": "no-credentials",
    "not-sent": "not-sent",
    "internal": "internal-error",
}
"""Signature by the kind of the error that ended an attempt, HTTP refusals and faults of this machine apart."""
OF_THIS_MACHINE = frozenset(
    {"out-of-files", "out-of-memory", "no-local-port", "no-route", "blocked-here", "no-resolver", "wrong-clock"}
)
"""Kinds of errors, and their signatures, that are this machine's: they say nothing about who was to be asked."""
KMON_LATE = "kmon-late"
"""The signature of an attempt whose silences were certainly this machine's own: it is counted apart."""


class SignatureText(Struct, frozen=True, forbid_unknown_fields=True):
    """What is known about one signature. ``faults`` and ``twins`` are the simulator's, by name.

    A fault in parentheses is no fault of an answer but a place where nobody answers properly. A signature that no
    fault commits says why in ``unsimulated``.
    """

    group: Group
    wire: str
    means: str
    twin: str
    f: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()
    unsimulated: str = ""


class Beyond(Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers of the fault list that are no signature of one attempt, and why."""

    f: tuple[str, ...]
    why: str
    faults: tuple[str, ...] = ()
    """Of the simulator, that make it all the same."""
    elsewhere: str = ""
    """What else makes it, or shows it."""


class Covered(Struct, frozen=True):
    """One number of the fault list: the signatures kmon gives it, the simulator's faults for it, or why none."""

    number: str
    signatures: tuple[str, ...]
    faults: tuple[str, ...]
    why: tuple[str, ...]


NUMBERS = tuple(f"F{number:02}" for number in range(1, 61))
"""The fault list's."""


@cache
def coverage() -> dict[str, Covered]:
    """Every number of the fault list, and what there is for it."""
    return {number: _covered(number) for number in NUMBERS}


def _covered(number: str) -> Covered:
    named = {name: text for name, text in signatures().items() if number in text.f}
    left_out = [entry for entry in beyond() if number in entry.f]
    faults = [fault for text in named.values() for fault in text.faults]
    faults += [fault for entry in left_out for fault in entry.faults]
    why = [entry.why + (f" ({entry.elsewhere})" if entry.elsewhere else "") for entry in left_out]
    return Covered(number, tuple(named), tuple(dict.fromkeys(faults)), tuple(why))


@cache
def signatures() -> dict[str, SignatureText]:
    """Every signature by its name, in the order of the file."""
    source = _source()
    return {name: _read(source, name, table) for name, table in source.table["signatures"].items()}


@cache
def beyond() -> tuple[Beyond, ...]:
    """What is left out of the signatures on purpose."""
    return msgspec.convert(tuple(_source().table["beyond"]), tuple[Beyond, ...])


def signature_text(name: str) -> SignatureText:
    """The text of one signature. Raises :class:`UsageError` that names the closest ones."""
    known = signatures()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else "'kmon signatures' lists them"
    raise UsageError(f"there is no signature {name[:80]!r}; {hint}")


def failure_name(kind: str, status: int | None = None) -> str:
    """The signature of an error by its kind, and of a refusal by its HTTP status: live or recorded, it is the same."""
    if kind in OF_THIS_MACHINE:
        return kind
    if kind != "http":
        return ERROR_NAMES.get(kind, "network-error")
    if status == 429:
        return "rate-limited"
    return "http-server-error" if status is not None and status >= 500 else "http-error"


def _source() -> TomlSource:
    return parse_toml(Path("signatures.toml"), files("kmon.catalog").joinpath("signatures.toml").read_text("utf-8"))


def _read(source: TomlSource, name: str, table: object) -> SignatureText:
    try:
        found = msgspec.convert(table, SignatureText)
    except msgspec.ValidationError as error:
        raise source.invalid(["signatures", name], error, SignatureText.__struct_fields__) from None
    if bool(found.faults) == bool(found.unsimulated):
        raise source.error(["signatures", name], "needs faults, or else a reason in unsimulated, and not both")
    return found


class Complaint(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that went wrong. ``shows`` is the signature that ``command`` makes kmon give."""

    says: str
    command: str
    shows: str
    means: str = ""


class FieldReport(Struct, frozen=True, forbid_unknown_fields=True):
    """One report; ``profile`` is the simulator's that behaves as it says."""

    title: str
    profile: str
    fault: tuple[Complaint, ...]


@cache
def field_reports() -> dict[str, FieldReport]:
    """Every report by its name."""
    text = files("kmon.catalog").joinpath("field_reports.toml").read_text("utf-8")
    table = parse_toml(Path("field_reports.toml"), text).table["reports"]
    return msgspec.convert(table, dict[str, FieldReport])
