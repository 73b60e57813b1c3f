"""The policy of a race: time limits, retries and fallbacks, as one value.

By default only the connection and the whole attempt are limited, and nothing is retried, because a hidden retry would
hide the fault that kmon is to show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from kmon.model import Target
from kmon.probe.limits import Limits

Cause = Literal["rate-limit", "server-error", "connection", "timeout", "cut-short"]
"""Why an attempt may be retried; ``classify.py`` assigns failures to causes."""
CAUSES: tuple[Cause, ...] = ("rate-limit", "server-error", "connection", "timeout", "cut-short")


LIMIT_WORDS = {
    "header_timeout_s": "without headers after",
    "first_token_timeout_s": "without a token after",
    "byte_timeout_s": "when no byte comes for",
    "chunk_timeout_s": "when no chunk comes for",
    "idle_timeout_s": "when no token comes for",
}
"""The limits that are off by default, in words."""


class Policy(Struct, frozen=True, kw_only=True):
    """Limits of an attempt in seconds (None: no limit), and what follows a failed one.

    The limits for headers and first token count from the request. Silence is counted on each clock separately: bytes
    and chunks from the headers, tokens from the first one. ``timeout_s`` bounds the whole attempt.
    """

    connect_timeout_s: float = 10.0
    header_timeout_s: float | None = None
    first_token_timeout_s: float | None = None
    byte_timeout_s: float | None = None
    chunk_timeout_s: float | None = None
    idle_timeout_s: float | None = None
    timeout_s: float = 300.0

    retries: int = 0
    """Retries of a request per target."""
    retry_base_s: float = 1.0
    """Upper bound of the first wait (full jitter from 0); it doubles with each retry."""
    retry_cap_s: float = 60.0
    """Upper bound of every wait, including ``Retry-After``."""
    retry_on: tuple[Cause, ...] = CAUSES
    jitter_seed: int | None = None
    """Seed for reproducible waits; None for random ones."""

    fallback: tuple[Target, ...] = ()
    """Targets that follow, in order, when a target has used up its retries."""
    fallback_when: Literal["before-first-token", "anytime"] = "before-first-token"
    """Whether a fallback may discard an answer that has begun."""
    tools: Literal["parallel", "sequential"] = "parallel"
    """Whether a chain allows several tool calls per turn, or one."""

    def limits(self, stall_s: float) -> Limits:
        """The limits of one attempt, with the stall threshold in s."""
        return Limits(
            stall_s,
            self.timeout_s,
            self.connect_timeout_s,
            self.header_timeout_s,
            self.first_token_timeout_s,
            self.byte_timeout_s,
            self.chunk_timeout_s,
            self.idle_timeout_s,
        )

    def beside(self, target: Target) -> tuple[Target, ...]:
        """The fallbacks of ``target``: the list without the target itself."""
        return tuple(other for other in self.fallback if not same(other, target))

    def once(self) -> Policy:
        """The same limits without retries and fallbacks, for experiments, in which every request is one sample."""
        return replace(self, retries=0, fallback=())

    def non_default(self) -> dict[str, float | int | str | list[str]]:
        """The values that differ from the defaults, by setting name, without the limits that are always on."""
        limits: dict[str, float | int | str | list[str]] = {
            name: value for name in LIMIT_WORDS if (value := getattr(self, name)) is not None
        }
        if self.retries:
            limits |= {"retries": self.retries, "retry_base_s": self.retry_base_s, "retry_cap_s": self.retry_cap_s}
            limits |= {"retry_on": list(self.retry_on)}
        if self.fallback:
            limits |= {"fallback": [t.name for t in self.fallback], "fallback_when": self.fallback_when}
        return limits | ({"tools": self.tools} if self.tools == "sequential" else {})


def policy_words(settings: Mapping[str, float | int | str | list[str]]) -> str:
    """The result of :meth:`Policy.non_default` as a sentence of a plan; empty if it is empty."""
    parts = []
    waits = [(name, words) for name, words in LIMIT_WORDS.items() if name in settings]
    if waits:
        parts.append("ends " + ", ".join(f"{words} {settings[name]:g} s" for name, words in waits))
    if retries := settings.get("retries"):
        only = settings.get("retry_on", [])
        causes = "" if only == list(CAUSES) or not isinstance(only, list) else f" on {', '.join(only)}"
        longest = f"first wait up to {settings['retry_base_s']:g} s, none above {settings['retry_cap_s']:g} s"
        parts.append(f"{retries} {'retry' if retries == 1 else 'retries'} per request{causes}, {longest}")
    if isinstance(names := settings.get("fallback"), list):
        when = "at any time" if settings.get("fallback_when") == "anytime" else "before the first token"
        parts.append(f"falls back to {', then '.join(names)} {when}")
    if settings.get("tools") == "sequential":
        parts.append("one tool call at a time")
    return "; ".join(parts)


def same(one: Target, other: Target) -> bool:
    """Whether two targets are the same endpoint, model and dialect."""
    return (one.base_url, one.model, one.dialect) == (other.base_url, other.model, other.dialect)


class Conflict(NamedTuple):
    """Two settings that contradict each other, and why."""

    first: str
    second: str
    why: str


def conflict(policy: Policy, stall_s: float, raced: tuple[Target, ...]) -> Conflict | None:
    """The first contradiction in a policy, or None. ``raced`` are the targets of the race, at least one."""
    ordered = (
        ("header_timeout_s", policy.header_timeout_s, "first_token_timeout_s", policy.first_token_timeout_s),
        ("header_timeout_s", policy.header_timeout_s, "timeout_s", policy.timeout_s),
        ("first_token_timeout_s", policy.first_token_timeout_s, "timeout_s", policy.timeout_s),
        ("byte_timeout_s", policy.byte_timeout_s, "chunk_timeout_s", policy.chunk_timeout_s),
        ("byte_timeout_s", policy.byte_timeout_s, "timeout_s", policy.timeout_s),
        ("chunk_timeout_s", policy.chunk_timeout_s, "timeout_s", policy.timeout_s),
        ("idle_timeout_s", policy.idle_timeout_s, "timeout_s", policy.timeout_s),
    )
    for first, low_s, second, high_s in ordered:
        if low_s is not None and high_s is not None and low_s > high_s:
            return Conflict(first, second, "the second always passes before the first")
    for name in ("byte_timeout_s", "chunk_timeout_s", "idle_timeout_s"):
        limit_s: float | None = getattr(policy, name)
        if limit_s is not None and limit_s < stall_s:
            return Conflict(name, "stall_s", "a silence would be ended before it is a stall")
    if policy.retries and policy.retry_base_s > policy.retry_cap_s:
        return Conflict("retry_base_s", "retry_cap_s", "the first wait may not be above the longest")
    if policy.retries and not policy.retry_on:
        return Conflict("retries", "retry_on", "there is nothing that may be retried")
    for at, target in enumerate(policy.fallback):
        if any(same(target, other) for other in policy.fallback[:at]):
            return Conflict("fallback", "fallback", f"it names {target.name} twice")
    if policy.fallback and not any(policy.beside(target) for target in raced):
        return Conflict("fallback", "target", f"{raced[0].name} cannot fall back to itself")
    return None
