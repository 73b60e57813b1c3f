"""The kinds of settings: how a raw value is converted, which values are accepted, and how they are described."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

Section = Literal["defaults", "policy", "alerts"]
SECTIONS: tuple[Section, ...] = ("defaults", "policy", "alerts")
"""The tables of ``kmon.toml`` that hold settings."""
Value = float | int | bool | str | tuple[str, ...]
AUTO = "auto"
NAMES_LIMIT = 100
_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class Declaration(ABC):
    """One setting: its flag, key and meaning; subclasses define which values it accepts.

    Without a ``flag`` it is read from files and the environment only. ``{default}`` in ``help`` stands for the default.
    ``key`` is its key in the table ``section`` of ``kmon.toml``; ``name``, ``default`` and, if not given, ``key`` are
    those of the declared field. ``own`` marks a setting that runs or calls something: the files of a project, which
    may be cloned, must not set it.
    """

    flag: str
    metavar: str | None
    help: str
    section: Section = "defaults"
    key: str = ""
    own: bool = False
    name: str = ""
    default: Value | None = None

    words: ClassVar[str] = ""
    flag_type: ClassVar[type] = str
    """The type of the flag for argparse."""
    is_text: ClassVar[bool] = False
    """Whether its TOML value is a string."""

    @property
    def wanted(self) -> str:
        """The accepted values, in words that follow "must be"."""
        return self.words.format(self)

    @abstractmethod
    def value(self, raw: object) -> Value | None:
        """``raw``, from a flag, a variable or a file, converted; None if it is not accepted."""

    def toml_value(self, raw: object) -> Value | None:
        """A TOML value converted, or None. A quoted number is text there, and not accepted as a number."""
        return None if isinstance(raw, str) and not self.is_text else self.value(raw)

    @property
    def variable(self) -> str:
        """The name of its environment variable."""
        return f"KMON_{self.name.upper()}"

    def shown(self, value: object) -> str:
        """A value as ``kmon config`` prints it."""
        return "-" if value in (None, "") else str(value)

    def described(self, default: Value | None = None) -> str:
        """The help text. ``default`` replaces the default of the setting."""
        value = self.default if default is None else default
        return self.help.format(default=f"{value:g}" if isinstance(value, float) else value)


@dataclass(frozen=True, kw_only=True)
class Number(Declaration):
    """A number from 0 (off) to ``high``."""

    high: int
    words: ClassVar[str] = "a number from 0 (off) to {0.high}"
    flag_type: ClassVar[type] = float

    def value(self, raw: object) -> Value | None:
        number = _number(raw)
        return None if number is None or not 0 <= number <= self.high else number

    def shown(self, value: object) -> str:
        return str(value) if value else "off"


class Limit(Number):
    """Seconds from 0 (no limit) to ``high``."""

    words = "a number of seconds from 0 (off) to {0.high}"


class Seconds(Number):
    """Seconds above 0 and at most ``high``."""

    words = "a number of seconds above 0 and at most {0.high}"

    def value(self, raw: object) -> Value | None:
        return super().value(raw) or None


class SecondsOrAuto(Seconds):
    """Seconds above 0 and at most ``high``, or the word ``auto``."""

    words = f"{Seconds.words}, or auto"
    flag_type = str

    def value(self, raw: object) -> Value | None:
        return AUTO if raw == AUTO else super().value(raw)

    def toml_value(self, raw: object) -> Value | None:
        return AUTO if raw == AUTO else super().toml_value(raw)


@dataclass(frozen=True, kw_only=True)
class Count(Declaration):
    """A whole number from ``low`` to ``high``."""

    low: int = 1
    high: int
    words = "a whole number from {0.low} to {0.high}"
    flag_type = int

    def value(self, raw: object) -> Value | None:
        number = _number(raw)
        return int(number) if number is not None and number == int(number) and self.low <= number <= self.high else None


class Switch(Declaration):
    """True or False. Its flag takes no value and means True."""

    words = "true or false"
    flag_type = bool

    def value(self, raw: object) -> Value | None:
        return _SWITCH.get(raw.strip().lower()) if isinstance(raw, str) else raw if isinstance(raw, bool) else None

    def shown(self, value: object) -> str:
        return str(value).lower()


@dataclass(frozen=True, kw_only=True)
class OneLine(Declaration):
    """One line of printable text, described as ``noun``; one of ``choices`` if there are any."""

    noun: str = "one line of text"
    choices: tuple[str, ...] = ()
    is_text = True

    @property
    def wanted(self) -> str:
        return " or ".join(self.choices) or self.noun

    def value(self, raw: object) -> Value | None:
        if self.choices:
            return raw if isinstance(raw, str) and raw in self.choices else None
        return _text(raw)


@dataclass(frozen=True, kw_only=True)
class Names(Declaration):
    """Up to ``NAMES_LIMIT`` names, out of ``choices`` if there are any; separated by commas in flags and variables."""

    choices: tuple[str, ...] = ()

    @property
    def wanted(self) -> str:
        if self.choices:
            return f"names out of {', '.join(self.choices)}"
        return f"one or more names, {NAMES_LIMIT} at most"

    def value(self, raw: object) -> Value | None:
        given: Sequence[object] = raw.split(",") if isinstance(raw, str) else raw if isinstance(raw, list) else [raw]
        if len(given) > NAMES_LIMIT:
            return None
        names = [_text(name) for name in given if name != ""]
        if raw and not names:
            return None  # commas without a name are a mistake
        known = [name for name in names if name and (not self.choices or name in self.choices)]
        return tuple(known) if len(known) == len(names) else None

    def shown(self, value: object) -> str:
        return ",".join(value) or "-" if isinstance(value, tuple) else str(value)


def _text(raw: object) -> str | None:
    return raw.strip() or None if isinstance(raw, str) and raw.isprintable() else None


def _number(raw: object) -> float | None:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
