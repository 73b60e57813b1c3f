"""The kinds of settings: how a raw value is read, what is accepted, and how both are said."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Section = Literal["defaults", "policy", "alerts"]
SECTIONS: tuple[Section, ...] = ("defaults", "policy", "alerts")
"""The tables of ``kmon.toml`` that hold settings."""
Value = float | int | bool | str | tuple[str, ...]
AUTO = "auto"
NAMES_LIMIT = 100
_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclass(frozen=True, kw_only=True)
class Setting(ABC):
    """One setting: what it means, where it is given, and what it may be.

    ``{default}`` in ``help`` stands for the default. Without a ``flag`` the setting is read from files and the
    environment only. ``key`` is its key in the table ``section`` of ``kmon.toml``; ``name`` and ``default`` are those
    of the field it is declared on, and so is ``key`` unless another one is given. ``own`` is a setting that acts on
    this machine: the files of a project, which are cloned, may not make it.
    """

    help: str
    flag: str = ""
    metavar: str | None = None
    section: Section = "defaults"
    key: str = ""
    own: bool = False
    name: str = ""
    default: Value | None = None

    @property
    @abstractmethod
    def wanted(self) -> str:
        """What it may be, in words that follow "must be"."""

    @abstractmethod
    def value(self, raw: object) -> Value | None:
        """The value that ``raw``, from a flag, a variable or a file, stands for; None if it stands for none."""

    def toml_value(self, raw: object) -> Value | None:
        """The same for a value of TOML, where a quoted number is text and names are a list: nothing is guessed."""
        return None if isinstance(raw, str) and not self.is_text(raw) else self.value(raw)

    def is_text(self, raw: str) -> bool:
        """Whether ``raw`` is in quotes in TOML."""
        return False

    @property
    def flag_type(self) -> type:
        """The type that argparse reads the flag as."""
        return str

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"KMON_{self.name.upper()}"

    def shown(self, value: object) -> str:
        """A value of it in words, as ``kmon config`` prints it."""
        return "-" if value in (None, "") else str(value)

    def described(self, default: Value | None = None) -> str:
        """Its help, with ``default`` where a command has another one."""
        value = self.default if default is None else default
        return self.help.format(default=f"{value:g}" if isinstance(value, float) else value)


@dataclass(frozen=True, kw_only=True)
class Number(Setting):
    """A number from 0 to ``high``; 0 turns it off."""

    high: int

    @property
    def wanted(self) -> str:
        return f"a number from 0 (off) to {self.high}"

    def value(self, raw: object) -> Value | None:
        number = _number(raw)
        return None if number is None or not 0 <= number <= self.high else number

    @property
    def flag_type(self) -> type:
        return float

    def shown(self, value: object) -> str:
        return str(value) if value else "off"


@dataclass(frozen=True, kw_only=True)
class Seconds(Number):
    """Seconds above 0 and at most ``high``; 0 means no limit where ``off``, and ``auto`` is a word where ``auto``."""

    off: bool = False
    auto: bool = False

    @property
    def wanted(self) -> str:
        if self.off:
            return f"a number of seconds from 0 (off) to {self.high}"
        return f"a number of seconds above 0 and at most {self.high}{', or auto' if self.auto else ''}"

    def value(self, raw: object) -> Value | None:
        if self.auto and raw == AUTO:
            return AUTO
        number = super().value(raw)
        return number if number or self.off else None

    def is_text(self, raw: str) -> bool:
        return self.auto and raw == AUTO

    @property
    def flag_type(self) -> type:
        return str if self.auto else float


@dataclass(frozen=True, kw_only=True)
class Count(Setting):
    """A whole number from ``low`` to ``high``."""

    low: int = 1
    high: int

    @property
    def wanted(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def value(self, raw: object) -> Value | None:
        number = _number(raw)
        return int(number) if number is not None and number == int(number) and self.low <= number <= self.high else None

    @property
    def flag_type(self) -> type:
        return int


@dataclass(frozen=True, kw_only=True)
class Switch(Setting):
    """On or off. Its flag takes no value and turns it on."""

    @property
    def wanted(self) -> str:
        return "true or false"

    def value(self, raw: object) -> Value | None:
        return _SWITCH.get(raw.strip().lower()) if isinstance(raw, str) else raw if isinstance(raw, bool) else None

    @property
    def flag_type(self) -> type:
        return bool

    def shown(self, value: object) -> str:
        return str(value).lower()


@dataclass(frozen=True, kw_only=True)
class Text(Setting):
    """One line of printable text, called ``noun``; one of ``choices``, where there are any."""

    noun: str = "one line of text"
    choices: tuple[str, ...] = ()

    @property
    def wanted(self) -> str:
        return " or ".join(self.choices) or self.noun

    def value(self, raw: object) -> Value | None:
        if self.choices:
            return raw if isinstance(raw, str) and raw in self.choices else None
        return _text(raw)

    def is_text(self, raw: str) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class Names(Setting):
    """Up to ``NAMES_LIMIT`` names, of ``choices`` where there are any. Flags and variables separate them by commas."""

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
            return None  # commas alone name nobody, and were not meant to
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
