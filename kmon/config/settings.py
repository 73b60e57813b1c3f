"""The settings, each declared once: its type, default, bounds, flag, key in ``kmon.toml`` and help.

The flags of the commands, what files and the environment may hold, ``kmon config`` and the help texts derive from
these declarations. Where a value comes from is decided in ``sources.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_type_hints

from kmon.config.kinds import Count, Names, Number, Seconds, Setting, Switch, Text

DAY_S, HOUR_S = 86_400, 3_600
UNLEARNED_STALL_S = 5.0
"""Where thresholds are learned: the one in force while a target's gaps are too few to learn from."""

_CAUSES = ("rate-limit", "server-error", "connection", "timeout", "cut-short")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a user may set. Seconds carry ``_s``; ``concurrency`` None means one round at a time.

    The second block is what an attempt may take and what follows a failed one; a limit of 0 is off. The third is when
    to alert and what to set off; 0 turns a rule off, and ``on_alert`` is a command line without a shell.
    """

    stall_s: Annotated[
        float | Literal["auto"],
        Seconds(
            high=DAY_S,
            auto=True,
            flag="--stall",
            metavar="S|auto",
            help="silence that is a stall (default {default}); auto learns it per target and phase",
        ),
    ] = UNLEARNED_STALL_S
    timeout_s: Annotated[
        float, Seconds(high=DAY_S, flag="--timeout", metavar="S", help="end an attempt (default {default})")
    ] = 300.0
    connect_timeout_s: Annotated[
        float,
        Seconds(high=HOUR_S, flag="--connect-timeout", metavar="S", help="DNS, TCP and TLS (default {default})"),
    ] = 10.0
    rounds: Annotated[
        int,
        Count(
            high=10_000,
            flag="--count",
            metavar="N",
            help="rounds: one run per target and scenario each (default {default})",
        ),
    ] = 1
    concurrency: Annotated[
        int | None,
        Count(high=1_000, flag="--concurrency", metavar="N", help="runs open at once (default: one round at a time)"),
    ] = None
    theme: Annotated[
        str, Text(noun="a name", flag="--theme", metavar="NAME", help="colours (default {default}; t switches)")
    ] = "kmon-dark"
    fps: Annotated[
        int,
        Count(high=60, flag="--fps", metavar="N", help="frames per second (default {default}; 5 above 16 panes)"),
    ] = 10
    bell: Annotated[bool, Switch(flag="--bell", help="ring the terminal bell on a stall, too")] = False
    ascii: Annotated[bool, Switch(flag="--ascii", help="draw with ASCII characters only")] = False

    header_timeout_s: Annotated[
        float,
        Seconds(
            high=DAY_S,
            off=True,
            section="policy",
            flag="--header-timeout",
            metavar="S",
            help="end an attempt without response headers after S seconds",
        ),
    ] = 0.0
    first_token_timeout_s: Annotated[
        float,
        Seconds(
            high=DAY_S,
            off=True,
            section="policy",
            flag="--first-token-timeout",
            metavar="S",
            help="end one without a first token after S seconds",
        ),
    ] = 0.0
    byte_timeout_s: Annotated[
        float, Seconds(high=DAY_S, off=True, section="policy", help="end one that has sent no byte for so long")
    ] = 0.0
    chunk_timeout_s: Annotated[
        float, Seconds(high=DAY_S, off=True, section="policy", help="end one that has sent no chunk for so long")
    ] = 0.0
    idle_timeout_s: Annotated[
        float,
        Seconds(
            high=DAY_S,
            off=True,
            section="policy",
            flag="--idle-timeout",
            metavar="S",
            help="end one that has sent no further token for S seconds",
        ),
    ] = 0.0
    retries: Annotated[
        int,
        Count(
            low=0,
            high=20,
            section="policy",
            flag="--retries",
            metavar="N",
            help="try what may pass again up to N times (default {default})",
        ),
    ] = 0
    retry_base_s: Annotated[
        float,
        Seconds(
            high=HOUR_S,
            section="policy",
            flag="--retry-base",
            metavar="S",
            help="first wait at most S, doubled each time, with full jitter (default {default})",
        ),
    ] = 1.0
    retry_cap_s: Annotated[
        float, Seconds(high=HOUR_S, section="policy", help="the longest wait, Retry-After too (default {default})")
    ] = 60.0
    retry_on: Annotated[
        tuple[str, ...],
        Names(
            choices=_CAUSES,
            section="policy",
            help="what may pass (default: all of them)",
        ),
    ] = _CAUSES
    fallback: Annotated[
        tuple[str, ...],
        Names(
            section="policy",
            flag="--fallback",
            metavar="TARGET[,TARGET]",
            help="when retries are used up: ask these in turn",
        ),
    ] = ()
    fallback_when: Annotated[
        str,
        Text(
            choices=("before-first-token", "anytime"),
            section="policy",
            flag="--fallback-when",
            metavar="WHEN",
            help="{default} (default), or anytime: give up what was said",
        ),
    ] = "before-first-token"
    tools: Annotated[
        str,
        Text(
            choices=("parallel", "sequential"),
            section="policy",
            help="calls of one turn of a chain: {default} (default), or sequential: one per turn",
        ),
    ] = "parallel"

    alert_success_rate: Annotated[
        float,
        Number(
            high=1,
            section="alerts",
            key="success_rate",
            flag="--alert-success-rate",
            metavar="R",
            help="share of streams that end well (default {default}, judged from 20 streams on)",
        ),
    ] = 0.95
    alert_failures: Annotated[
        float,
        Number(
            high=10_000,
            section="alerts",
            key="consecutive_failures",
            flag="--alert-failures",
            metavar="N",
            help="streams that fail in a row (default {default})",
        ),
    ] = 5
    alert_chunks: Annotated[
        float,
        Number(
            high=10_000,
            section="alerts",
            key="chunks_per_stream",
            flag="--alert-chunks",
            metavar="N",
            help="chunks per stream on average (default {default}, judged from 5 streams on)",
        ),
    ] = 3.0
    on_alert: Annotated[
        str,
        Text(
            section="alerts",
            key="command",
            own=True,
            flag="--on-alert",
            metavar="COMMAND",
            help="run this, without a shell, with the alert on stdin as JSON",
        ),
    ] = ""
    alert_webhook: Annotated[
        str,
        Text(
            section="alerts",
            key="webhook",
            own=True,
            flag="--alert-webhook",
            metavar="URL",
            help="POST the alert there as JSON",
        ),
    ] = ""

    @property
    def first_stall_s(self) -> float:
        """The silence that is a stall, before anything was learned."""
        return UNLEARNED_STALL_S if isinstance(self.stall_s, str) else self.stall_s


def _declared() -> dict[str, Setting]:
    defaults, found = Settings(), dict[str, Setting]()
    for name, hint in get_type_hints(Settings, include_extras=True).items():
        declared: Setting = hint.__metadata__[0]
        found[name] = replace(declared, name=name, key=declared.key or name, default=getattr(defaults, name))
    return found


SETTINGS = _declared()
"""Per name of a setting, its declaration."""
KEYS = {(setting.section, setting.key): name for name, setting in SETTINGS.items()}
"""Per table of ``kmon.toml`` and key in it, the name of the setting."""
