"""One gateway run at one moment, as figures, from three vantage points: provider, gateway, chat program."""

from __future__ import annotations

from dataclasses import dataclass

from kmon.openclaw.protocol.client_status import Shown
from kmon.openclaw.protocol.run import GatewayRun
from kmon.openclaw.protocol.tracker import Tracker
from kmon.openclaw.provider_side import ProviderSide

S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One run at one moment. Durations are seconds up to that moment."""

    run: GatewayRun
    provider: ProviderSide
    claim: Shown | None
    """What the chat program shows; None where it is not known."""
    claim_s: float
    """How long it has shown that."""
    open_s: float
    quiet_s: float
    """Since the run's last text or tool event or, before any, since it began."""
    frame_s: float
    """Since its last frame of any kind."""
    tool_s: float
    """Since its open tool began."""
    queued: tuple[str, ...]
    """Messages that wait behind this run, by their short names."""
    ahead: str
    """The open run that this one waits for."""
    ticking: bool
    link_s: float
    """Since the last frame of the connection."""
    tools_hidden: bool
    """Protocol 3 sends tool events to the sender alone, and this connection is another."""
    gone: bool
    """The gateway announced its shutdown, or the socket is closed."""


def take_snapshot(
    tracker: Tracker,
    run: GatewayRun,
    now_ns: int,
    *,
    provider: ProviderSide | None = None,
    claim: Shown | None = None,
    claim_since_ns: int | None = None,
    closed: bool = False,
) -> Snapshot:
    """The snapshot of one run of a tracker at ``now_ns``."""

    def ago(t_ns: int | None) -> float:
        return 0.0 if t_ns is None else max(0, now_ns - t_ns) / S

    began_ns, connection = run.begun_ns, tracker.connection
    waiting = tracker.sessions[run.session].queue if run.session in tracker.sessions else []
    behind = [tracker.runs[one].short for one in waiting if one in tracker.runs and tracker.runs[one] is not run]
    in_front = [one.short for one in tracker.open_runs(run.session) if one is not run] if run.waiting else []
    return Snapshot(
        run,
        provider or ProviderSide(),
        claim,
        ago(claim_since_ns),
        open_s=ago(began_ns),
        quiet_s=ago(max(began_ns, run.t_text_ns or began_ns, run.t_tool_ns or began_ns)),
        frame_s=ago(run.t_last_ns),
        tool_s=ago(run.open_tool.t_start_ns) if run.open_tool else 0.0,
        queued=tuple(behind) if run.open else (),
        ahead=in_front[0] if in_front else "",
        ticking=connection.ticking(now_ns) is not False,
        link_s=ago(connection.t_frame_ns),
        tools_hidden=0 < connection.protocol < 4 and run.origin != "sent",
        gone=closed or connection.t_shutdown_ns is not None,
    )
