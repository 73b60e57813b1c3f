"""The signatures, fault numbers and field reports as data: how each looks on the wire and what it usually means."""

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
"""Signature by kind of error, except HTTP errors and faults of this machine."""
OF_THIS_MACHINE = frozenset(
    {"out-of-files", "out-of-memory", "no-local-port", "no-route", "blocked-here", "no-resolver", "wrong-clock"}
)
"""Kinds of errors of this machine, which are also signatures; they say nothing about the provider."""
KMON_LATE = "kmon-late"
"""The signature of an attempt whose silences were caused by this machine; it is counted separately."""


class SignatureText(Struct, frozen=True, forbid_unknown_fields=True):
    """The description of one signature. ``faults`` and ``twins`` are names of the simulator.

    A fault in parentheses is a broken endpoint, not a broken response. A signature without ``faults`` has the reason in
    ``unsimulated``.
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
    """Numbers of the fault list that are not a signature of one attempt, with the reason."""

    f: tuple[str, ...]
    why: str
    faults: tuple[str, ...] = ()
    """Faults of the simulator that produce it nevertheless."""
    elsewhere: str = ""
    """What else produces or shows it."""


class Covered(Struct, frozen=True):
    """One number of the fault list: its signatures, its faults of the simulator, or the reasons for none."""

    number: str
    signatures: tuple[str, ...]
    faults: tuple[str, ...]
    why: tuple[str, ...]


NUMBERS = tuple(f"F{number:02}" for number in range(1, 61))
"""The numbers of the fault list."""


@cache
def coverage() -> dict[str, Covered]:
    """What covers each number of the fault list."""
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
    """All signatures by name, in the order of the file."""
    source = _source()
    return {name: _read(source, name, table) for name, table in source.table["signatures"].items()}


@cache
def beyond() -> tuple[Beyond, ...]:
    """The fault numbers that have no signature of their own."""
    return msgspec.convert(tuple(_source().table["beyond"]), tuple[Beyond, ...])


def signature_text(name: str) -> SignatureText:
    """The description of one signature. Raises :class:`UsageError` with the closest names."""
    known = signatures()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else "'kmon signatures' lists them"
    raise UsageError(f"there is no signature {name[:80]!r}; {hint}")


def failure_name(kind: str, status: int | None = None) -> str:
    """The signature of an error by its kind, and for kind ``http`` by its status."""
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
    """One complaint of a report; ``command`` reproduces it with the signature ``shows``."""

    says: str
    command: str
    shows: str
    means: str = ""


class FieldReport(Struct, frozen=True, forbid_unknown_fields=True):
    """One report; ``profile`` is the simulator's profile that reproduces it."""

    title: str
    profile: str
    fault: tuple[Complaint, ...]


@cache
def field_reports() -> dict[str, FieldReport]:
    """All field reports by name."""
    text = files("kmon.catalog").joinpath("field_reports.toml").read_text("utf-8")
    table = parse_toml(Path("field_reports.toml"), text).table["reports"]
    return msgspec.convert(table, dict[str, FieldReport])
