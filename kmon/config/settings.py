"""Declares every setting once: type, default, bounds, flag, key in ``kmon.toml`` and help.

Flags, accepted keys and variables, ``kmon config`` and help texts are derived from these declarations; ``sources.py``
decides where a value comes from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_type_hints

from kmon.config.kinds import Count, Declaration, Limit, Names, Number, OneLine, Seconds, SecondsOrAuto, Switch

DAY_S, HOUR_S = 86_400, 3_600
UNLEARNED_STALL_S = 5.0
"""Default stall threshold; with ``auto`` it is used until a target has enough gaps to learn from."""

_CAUSES = ("rate-limit", "server-error", "connection", "timeout", "cut-short")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The values of all settings. Names in seconds end in ``_s``; ``concurrency`` None means one round at a time.

    The second block has the limits of an attempt (0 is off) and the retry policy. The third has the alert rules (0 is
    off) and hooks; ``on_alert`` is a command line that runs without a shell.
    """

    # fmt: off
    stall_s: Annotated[float | Literal["auto"], SecondsOrAuto(
        "--stall", "S|auto", "silence that is a stall (default {default}); auto learns it per target and phase",
        high=DAY_S)] = UNLEARNED_STALL_S
    timeout_s: Annotated[float, Seconds(
        "--timeout", "S", "end an attempt (default {default})", high=DAY_S)] = 300.0
    connect_timeout_s: Annotated[float, Seconds(
        "--connect-timeout", "S", "DNS, TCP and TLS (default {default})", high=HOUR_S)] = 10.0
    rounds: Annotated[int, Count(
        "--count", "N", "rounds: one run per target and scenario each (default {default})", high=10_000)] = 1
    concurrency: Annotated[int | None, Count(
        "--concurrency", "N", "runs open at once (default: one round at a time)", high=1_000)] = None
    theme: Annotated[str, OneLine(
        "--theme", "NAME", "colours (default {default}; t switches)", noun="a name")] = "kmon-dark"
    fps: Annotated[int, Count(
        "--fps", "N", "frames per second (default {default}; 5 above 16 panes)", high=60)] = 10
    bell: Annotated[bool, Switch("--bell", None, "ring the terminal bell on a stall, too")] = False
    ascii: Annotated[bool, Switch("--ascii", None, "draw with ASCII characters only")] = False

    header_timeout_s: Annotated[float, Limit(
        "--header-timeout", "S", "end an attempt without response headers after S seconds",
        high=DAY_S, section="policy")] = 0.0
    first_token_timeout_s: Annotated[float, Limit(
        "--first-token-timeout", "S", "end one without a first token after S seconds",
        high=DAY_S, section="policy")] = 0.0
    byte_timeout_s: Annotated[float, Limit(
        "", "S", "end one that has sent no byte for S seconds", high=DAY_S, section="policy")] = 0.0
    chunk_timeout_s: Annotated[float, Limit(
        "", "S", "end one that has sent no chunk for S seconds", high=DAY_S, section="policy")] = 0.0
    idle_timeout_s: Annotated[float, Limit(
        "--idle-timeout", "S", "end one that has sent no further token for S seconds",
        high=DAY_S, section="policy")] = 0.0
    retries: Annotated[int, Count(
        "--retries", "N", "try what may pass again up to N times (default {default})",
        low=0, high=20, section="policy")] = 0
    retry_base_s: Annotated[float, Seconds(
        "--retry-base", "S", "first wait at most S, doubled each time, with full jitter (default {default})",
        high=HOUR_S, section="policy")] = 1.0
    retry_cap_s: Annotated[float, Seconds(
        "", "S", "no wait longer than S, not even a Retry-After (default {default})",
        high=HOUR_S, section="policy")] = 60.0
    retry_on: Annotated[tuple[str, ...], Names(
        "", None, "what may pass (default: all of them)", choices=_CAUSES, section="policy")] = _CAUSES
    fallback: Annotated[tuple[str, ...], Names(
        "--fallback", "TARGET[,TARGET]", "when retries are used up: ask these in turn", section="policy")] = ()
    fallback_when: Annotated[str, OneLine(
        "--fallback-when", "WHEN", "{default} (default), or anytime: give up what was said",
        choices=("before-first-token", "anytime"), section="policy")] = "before-first-token"
    tools: Annotated[str, OneLine(
        "", None, "tool calls of a chain: {default} (default), or sequential: one per turn",
        choices=("parallel", "sequential"), section="policy")] = "parallel"

    alert_success_rate: Annotated[float, Number(
        "--alert-success-rate", "R", "share of streams that end well (default {default}, judged from 20 streams on)",
        high=1, section="alerts", key="success_rate")] = 0.95
    alert_failures: Annotated[float, Number(
        "--alert-failures", "N", "streams that fail in a row (default {default})",
        high=10_000, section="alerts", key="consecutive_failures")] = 5
    alert_chunks: Annotated[float, Number(
        "--alert-chunks", "N", "chunks per stream on average (default {default}, judged from 5 streams on)",
        high=10_000, section="alerts", key="chunks_per_stream")] = 3.0
    on_alert: Annotated[str, OneLine(
        "--on-alert", "COMMAND", "run this, without a shell, with the alert on stdin as JSON",
        section="alerts", key="command", own=True)] = ""
    alert_webhook: Annotated[str, OneLine(
        "--alert-webhook", "URL", "POST the alert there as JSON", section="alerts", key="webhook", own=True)] = ""
    # fmt: on

    @property
    def first_stall_s(self) -> float:
        """The stall threshold (s) before a threshold was learned."""
        return UNLEARNED_STALL_S if isinstance(self.stall_s, str) else self.stall_s


def _declared() -> dict[str, Declaration]:
    defaults, found = Settings(), dict[str, Declaration]()
    for name, hint in get_type_hints(Settings, include_extras=True).items():
        declared: Declaration = hint.__metadata__[0]
        found[name] = replace(declared, name=name, key=declared.key or name, default=getattr(defaults, name))
    return found


SETTINGS = _declared()
"""Declarations by the name of the setting."""
KEYS = {(setting.section, setting.key): name for name, setting in SETTINGS.items()}
"""Names of settings by table and key of ``kmon.toml``."""
