"""What may be set, and what each setting may be. Where a value comes from is decided in ``config.py``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

Section = Literal["defaults", "policy", "alerts"]
SECTIONS: tuple[Section, ...] = ("defaults", "policy", "alerts")
"""The tables of ``kmon.toml`` that hold settings."""
Value = float | int | bool | str | tuple[str, ...]
AUTO = "auto"
NAMES_LIMIT = 100
UNLEARNED_STALL_S = 5.0
"""Where thresholds are learned: the one in force while a target's gaps are too few to learn from."""


class Settings(Struct, frozen=True, kw_only=True):
    """What a user may set. Seconds carry ``_s``; ``concurrency`` None means one round at a time.

    The second block is what an attempt may take and what follows a failed one; a limit of 0 is off. The third is when
    to alert and what to set off; 0 turns a rule off, and ``on_alert`` is a command line without a shell.
    """

    stall_s: float | Literal["auto"] = UNLEARNED_STALL_S
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

    alert_success_rate: float = 0.95
    alert_failures: float = 5
    alert_chunks: float = 3.0
    on_alert: str = ""
    alert_webhook: str = ""

    @property
    def first_stall_s(self) -> float:
        """The silence that is a stall, before anything was learned."""
        return UNLEARNED_STALL_S if isinstance(self.stall_s, str) else self.stall_s


@dataclass(frozen=True, slots=True)
class Rule:
    """What one setting may be, the flag that sets it (none: files and environment only), and its table.

    Seconds are above 0 and at most ``high``; a ``limit`` or a ``number`` may also be 0, which turns it off. ``names``
    and ``choice`` are of ``choices``, where there are any. ``key`` is its name in its table, where that is another
    one. ``own`` is a setting that acts on this machine: a project's files, which are cloned, may not make it.
    """

    flag: str
    kind: Literal["seconds", "seconds-or-auto", "limit", "number", "count", "switch", "name", "names", "choice", "text"]
    high: int = 0
    low: int = 1
    choices: tuple[str, ...] = ()
    section: Section = "defaults"
    key: str = ""
    own: bool = False

    @property
    def wanted(self) -> str:
        """The rule in words."""
        match self.kind:
            case "seconds":
                return f"a number of seconds above 0 and at most {self.high}"
            case "seconds-or-auto":
                return f"a number of seconds above 0 and at most {self.high}, or auto"
            case "number":
                return f"a number from 0 (off) to {self.high}"
            case "text":
                return "one line of text"
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
                return f"one or more names, {NAMES_LIMIT} at most"
            case "choice":
                return " or ".join(self.choices)

    def value(self, raw: object) -> Value | None:
        """The value ``raw`` stands for, or None if it stands for none."""
        match self.kind:
            case "name" | "text":
                return _name(raw)
            case "seconds-or-auto" if raw == AUTO:
                return AUTO
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
        return number if number or self.kind in ("limit", "number") else None

    def _names(self, raw: object) -> tuple[str, ...] | None:
        given: Sequence[object] = raw.split(",") if isinstance(raw, str) else raw if isinstance(raw, list) else [raw]
        if len(given) > NAMES_LIMIT:
            return None
        names = [_name(name) for name in given if name != ""]
        if raw and not names:
            return None  # commas alone name nobody, and were not meant to
        known = [name for name in names if name and (not self.choices or name in self.choices)]
        return tuple(known) if len(known) == len(names) else None


SETTINGS: dict[str, Rule] = {
    "stall_s": Rule("--stall", "seconds-or-auto", 86_400),
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
    "alert_success_rate": Rule("--alert-success-rate", "number", 1, section="alerts", key="success_rate"),
    "alert_failures": Rule("--alert-failures", "number", 10_000, section="alerts", key="consecutive_failures"),
    "alert_chunks": Rule("--alert-chunks", "number", 10_000, section="alerts", key="chunks_per_stream"),
    "on_alert": Rule("--on-alert", "text", section="alerts", key="command", own=True),
    "alert_webhook": Rule("--alert-webhook", "text", section="alerts", key="webhook", own=True),
}
"""Per setting, its rule. In its table it goes by its key or this name, in the environment by ``KMON_`` and this name in
capitals."""
KEYS = {(rule.section, rule.key or name): name for name, rule in SETTINGS.items()}
"""Per table of ``kmon.toml`` and key in it, the setting it stands for."""


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
