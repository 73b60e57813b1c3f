"""Finds the faults of this folder, and reads the one that a header, a model's name or a profile's rule names."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import Any

import msgspec

from kmon.simulator import faults
from kmon.simulator.faults.base import Fault
from kmon.simulator.wire import ServerDialect

HEADER = "x-kmon-fault"

_RANGE = re.compile(r"(.+)\.\.(.+)")


def _defined() -> Iterator[type[Fault]]:
    """The faults of every module of this folder, in the order of the modules' names and then of definition.

    A class that only other faults inherit from has no tag, and a name that begins with an underscore.
    """
    for name in sorted(module.name for module in pkgutil.iter_modules(faults.__path__, f"{faults.__name__}.")):
        if name != __name__:
            for found in vars(import_module(name)).values():
                if isinstance(found, type) and issubclass(found, Fault) and found.__module__ == name:
                    yield found


FAULTS: dict[str, type[Fault]] = {}
"""Every fault by its name, in that order."""


def _add(fault: type[Fault]) -> str:
    name = fault.tag()
    if name in FAULTS:
        raise ValueError(f"there is a fault {name!r} already")
    FAULTS[name] = fault
    return name


for _fault in _defined():
    if _fault is not Fault and not _fault.__name__.startswith("_"):
        _add(_fault)


@contextmanager
def registered(fault: type[Fault]) -> Iterator[None]:
    """Have one more fault while the context is open. Raises ValueError for a name that is taken."""
    name = _add(fault)
    try:
        yield
    finally:
        del FAULTS[name]


class FaultError(ValueError):
    """A fault that does not exist or has wrong parameters; ``key`` is the wrong member."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def from_header(text: str) -> Fault:
    """The fault of a header value ``NAME[:key=value,...]``; a range is ``MIN..MAX``.

    Raises FaultError with a sentence that lists what exists.
    """
    name, _, parameters = text.strip().partition(":")
    pairs = [pair.partition("=") for pair in parameters.split(",") if pair.strip()]
    return read_fault({"fault": name.strip(), **{key.strip(): _value(value.strip()) for key, _, value in pairs}})


def from_model(model: str) -> Fault | None:
    """The fault whose name is a word of the model's name, as in ``sim/stall-when-tools``."""
    found = _name_pattern(tuple(FAULTS)).search(model)
    return FAULTS[found[1].lower()]() if found else None


@lru_cache(maxsize=2)
def _name_pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    return re.compile(rf"(?<![a-z0-9])({longest_first})(?![a-z0-9])", re.IGNORECASE)


def check(fault: Fault | None, dialect: ServerDialect) -> None:
    """Raises FaultError when ``fault`` is one that ``dialect`` cannot have."""
    if fault is not None and (refused := fault.refusal(dialect)):
        raise FaultError("fault", refused)


def read_fault(members: dict[str, Any]) -> Fault:
    """The fault in a table ``{fault = NAME, parameter = value, ...}``. Raises FaultError."""
    name = members.get("fault")
    fault = FAULTS.get(name) if isinstance(name, str) else None
    if fault is None:
        raise FaultError("fault", f"unknown fault {name!r}; the faults are {', '.join(FAULTS)}")
    known = fault.__struct_fields__
    for key in members:
        if key != "fault" and key not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes no parameters"
            raise FaultError(key, f"fault {name} has no parameter {key!r}; {takes}")
    try:
        return msgspec.convert(members, fault)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).replace("`", "").partition(" - at $.")
        wrong = next(key for key in known if f"{place} {problem}".strip().startswith(key))
        problem = problem.removeprefix(f"{wrong} ")
        raise FaultError(wrong, f"fault {name}, {wrong}: {problem[:1].lower()}{problem[1:]}") from None


def _value(text: str) -> object:
    if span := _RANGE.fullmatch(text):
        return [_number(span[1]), _number(span[2])]
    return _number(text)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
