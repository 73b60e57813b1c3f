"""What may be set, and what each setting may be. Where a value comes from is decided in ``config.py``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

Section = Literal["defaults", "policy"]
SECTIONS: tuple[Section, ...] = ("defaults", "policy")
"""The tables of ``kmon.toml`` that hold settings."""
Value = float | int | bool | str | tuple[str, ...]


class Settings(Struct, frozen=True, kw_only=True):
    """What a user may set. Seconds carry ``_s``; ``concurrency`` None means one round at a time.

    The second block is what an attempt may take and what follows a failed one; a limit of 0 is off.
    """

    stall_s: float = 5.0
    timeout_s: float = 300.0
    connect_timeout_s: float = 10.0
    rounds: int = 1
    concurrency: int | None = None
    theme: str = "kmon-dark"
    fps: int = 10
    bell: bool = False
    ascii: bool = False

    header_timeout_s: float = 0.0
    first_token_timeout_s: float = 0.0
    byte_timeout_s: float = 0.0
    chunk_timeout_s: float = 0.0
    idle_timeout_s: float = 0.0
    retries: int = 0
    retry_base_s: float = 1.0
    retry_cap_s: float = 60.0
    retry_on: tuple[str, ...] = ("rate-limit", "server-error", "connection", "timeout", "cut-short")
    fallback: tuple[str, ...] = ()
    fallback_when: str = "before-first-token"
    tools: str = "parallel"


@dataclass(frozen=True, slots=True)
class Rule:
    """What one setting may be, the flag that sets it (none: files and environment only), and its table.

    Seconds are above 0 and at most ``high``; a ``limit`` may also be 0, which turns it off. ``names`` and ``choice``
    are of ``choices``, where there are any.
    """

    flag: str
    kind: Literal["seconds", "limit", "count", "switch", "name", "names", "choice"]
    high: int = 0
    low: int = 1
    choices: tuple[str, ...] = ()
    section: Section = "defaults"

    @property
    def wanted(self) -> str:
        """The rule in words."""
        match self.kind:
            case "seconds":
                return f"a number of seconds above 0 and at most {self.high}"
            case "limit":
                return f"a number of seconds from 0 (off) to {self.high}"
            case "count":
                return f"a whole number from {self.low} to {self.high}"
            case "switch":
                return "true or false"
            case "name":
                return "a name"
            case "names" if self.choices:
                return f"names out of {', '.join(self.choices)}"
            case "names":
                return "one or more names"
            case "choice":
                return " or ".join(self.choices)

    def value(self, raw: object) -> Value | None:
        """The value ``raw`` stands for, or None if it stands for none."""
        match self.kind:
            case "name":
                return _name(raw)
            case "names":
                return self._names(raw)
            case "choice":
                return raw if isinstance(raw, str) and raw in self.choices else None
            case "switch":
                return _switch(raw)
        number = _number(raw)
        if number is None or not 0 <= number <= self.high:
            return None
        if self.kind == "count":
            return int(number) if number >= self.low and number == int(number) else None
        return number if number or self.kind == "limit" else None

    def _names(self, raw: object) -> tuple[str, ...] | None:
        given: Sequence[object] = raw.split(",") if isinstance(raw, str) else raw if isinstance(raw, list) else [raw]
        names = [_name(name) for name in given if name != ""]
        known = [name for name in names if name and (not self.choices or name in self.choices)]
        return tuple(known) if len(known) == len(names) else None


SETTINGS: dict[str, Rule] = {
    "stall_s": Rule("--stall", "seconds", 86_400),
    "timeout_s": Rule("--timeout", "seconds", 86_400),
    "connect_timeout_s": Rule("--connect-timeout", "seconds", 3_600),
    "rounds": Rule("--count", "count", 10_000),
    "concurrency": Rule("--concurrency", "count", 1_000),
    "theme": Rule("--theme", "name"),
    "fps": Rule("--fps", "count", 60),
    "bell": Rule("--bell", "switch"),
    "ascii": Rule("--ascii", "switch"),
    "header_timeout_s": Rule("--header-timeout", "limit", 86_400, section="policy"),
    "first_token_timeout_s": Rule("--first-token-timeout", "limit", 86_400, section="policy"),
    "byte_timeout_s": Rule("", "limit", 86_400, section="policy"),
    "chunk_timeout_s": Rule("", "limit", 86_400, section="policy"),
    "idle_timeout_s": Rule("--idle-timeout", "limit", 86_400, section="policy"),
    "retries": Rule("--retries", "count", 20, low=0, section="policy"),
    "retry_base_s": Rule("--retry-base", "seconds", 3_600, section="policy"),
    "retry_cap_s": Rule("", "seconds", 3_600, section="policy"),
    "retry_on": Rule("", "names", choices=Settings().retry_on, section="policy"),
    "fallback": Rule("--fallback", "names", section="policy"),
    "fallback_when": Rule("--fallback-when", "choice", choices=("before-first-token", "anytime"), section="policy"),
    "tools": Rule("", "choice", choices=("parallel", "sequential"), section="policy"),
}
"""Per setting, its rule. In its table it goes by this name, in the environment by ``KMON_`` and it in capitals."""


def _name(raw: object) -> str | None:
    return raw.strip() or None if isinstance(raw, str) and raw.isprintable() else None


def _switch(raw: object) -> bool | None:
    return _SWITCH.get(raw.strip().lower()) if isinstance(raw, str) else raw if isinstance(raw, bool) else None


def _number(raw: object) -> float | None:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
