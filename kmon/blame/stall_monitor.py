"""Emits the stalls of one attempt while they are open, each with its blame. One timer per attempt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from kmon.blame.local_monitor import LocalMonitor
from kmon.blame.weigh import Silence, Weighed, weigh
from kmon.stream.blame import Blame
from kmon.stream.events import Blamed, Event, StallEnded, StallStarted, WireSilence
from kmon.stream.stall import Stall, StallPhase
from kmon.stream.timeline import MS, S, Timeline
from kmon.transport.tcp_info import TcpSampler, TcpState

KEEPALIVE_AHEAD_NS = 1 * S
KEEPALIVE_AHEAD_SHARE = 0.2
"""How long before the stall threshold a TCP keep-alive probe is sent, so that its answer is there in time: ns, and as a
share of the threshold; the smaller counts."""
RECHECK_EVERY_S = 1.0


class StallMonitor:
    """Emits ``stall_started`` when the open progress gap passes the threshold, and ``stall_ended`` for each.

    While a stall is open the blame is determined again every second; ``longest`` is that of the longest stall. For an
    attempt on the byte clock it emits ``wire_silence`` instead, which never blames the other end.
    """

    def __init__(
        self, run: str, attempt: int, timeline: Timeline, monitor: LocalMonitor, emit: Callable[[Event], None]
    ) -> None:
        self._run, self._attempt, self._timeline, self._emit = run, attempt, timeline, emit
        self._monitor = monitor
        self._timer: asyncio.TimerHandle | None = None
        self._announced = False
        self._reported_start_ns: int | None = None
        """Start of the open gap that was reported last."""
        self._tcp: TcpSampler | None = None
        self._first_tcp: TcpState | None = None
        self._last_tcp: TcpState | None = None
        self._stopped_together = 0
        """How many streams stopped together with this one; kept when some of them continue later."""
        self._open_blame: Weighed | None = None
        self._checked_ns = 0
        self._longest_ms = 0.0
        self.intermediary = ""
        self.client_waiting_ns: Callable[[int], int] | None = None
        """For a proxied stream: given a stamp, for how many ns the client has not read the data offered to it."""
        self.longest: Weighed | None = None
        """The blame of the longest stall, with its facts."""
        self._closed_blame: Weighed | None = None
        """Blame of the gap that was closed last."""
        timeline.is_own = self._is_own

    # -- the Stream protocol of LocalMonitor ---------------------------------------------------------------------------

    def on_sampler(self, sampler: TcpSampler) -> None:
        """Set the connection of the attempt; its TCP state is sampled when a stall begins and while it lasts."""
        self._tcp = sampler
        self._monitor.streams.add(self)

    @property
    def peer(self) -> str:
        return "" if self._tcp is None else self._tcp.peer

    @property
    def last_byte_ns(self) -> int | None:
        """Stamp of the last byte; None after the end, and before the first output, when each stream waits alone."""
        timeline = self._timeline
        flowing = timeline.progress.first_ns is not None and timeline.gap_start() is not None
        return timeline.byte.last_ns if flowing else None

    # -- the timer ---------------------------------------------------------------------------------------------------

    def arm(self, now_ns: int) -> None:
        """Make sure that a timer is running. It is not moved per chunk: when it fires, it checks the gap again.

        Only a threshold that varies can be due before the running timer; then the timer is set again.
        """
        if self._announced and self._timeline.silence_start() != self._reported_start_ns:
            self._announced = False  # the data had arrived in time and was read late: no stall
            self._cancel_timer()
        if self._announced or (self._timer is not None and not self._timeline.varying):
            return
        gap_ns = self._timeline.silence_ns(now_ns)
        if gap_ns is None:
            return
        keepalive_after_ns = self._keepalive_after_ns
        due_ns = (
            keepalive_after_ns
            if self._first_tcp is None and gap_ns < keepalive_after_ns
            else self._timeline.threshold_ns()
        )
        wait_s = max(0.0, (due_ns - gap_ns) / S)
        if self._timer is None or self._timer.when() > asyncio.get_running_loop().time() + wait_s:
            self._set_timer(wait_s)

    @property
    def _keepalive_after_ns(self) -> int:
        stall_ns = self._timeline.threshold_ns()
        return stall_ns - int(min(KEEPALIVE_AHEAD_NS, KEEPALIVE_AHEAD_SHARE * stall_ns))

    def _set_timer(self, wait_s: float) -> None:
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._on_timer)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        now_ns = time.monotonic_ns()
        gap_ns = self._timeline.silence_ns(now_ns)
        if gap_ns is None:
            return
        if self._timeline.silence_start() != self._reported_start_ns:
            self._announced, self._open_blame = False, None
        if gap_ns >= self._timeline.threshold_ns():
            found = self._find_blame(now_ns, gap_ns)
            if self._timeline.watched == "byte":
                self._emit_wire_silence(now_ns, gap_ns, found)
            elif not self._announced:
                self._emit_started(now_ns, self._timeline.stall_phase(), gap_ns / MS, found.blame, self._last_tcp)
            elif self._open_blame is None or _differ(found.blame, self._open_blame.blame):
                self._emit(Blamed(now_ns, self._run, self._attempt, found.blame))
            self._open_blame, self._reported_start_ns, self._checked_ns = found, self._timeline.silence_start(), now_ns
            self._set_timer(RECHECK_EVERY_S)
        elif gap_ns >= self._keepalive_after_ns:
            self._sample_tcp()
            self.arm(now_ns)
        else:
            self._reset()
            self.arm(now_ns)

    # -- the blame -----------------------------------------------------------------------------------------------------

    def _sample_tcp(self) -> None:
        """Sample the TCP state, and have the kernel send a keep-alive probe."""
        if self._tcp is None:
            return
        self._last_tcp = self._tcp.look() or self._last_tcp  # a closed socket gives None: keep the last state
        if self._first_tcp is None:
            self._first_tcp = self._last_tcp
        self._tcp.ask(self._last_tcp.unanswered_probes if self._last_tcp is not None else 0)

    def _find_blame(self, now_ns: int, gap_ns: int) -> Weighed:
        """Determine the blame of the open gap from all facts."""
        self._sample_tcp()
        asked_ns = None if self._tcp is None else self._tcp.asked_ns
        self._stopped_together = max(self._stopped_together, self._monitor.stopped_together(self))
        return weigh(
            replace(
                self._local_facts(now_ns, gap_ns, self._timeline.stall_phase()),
                since_byte_ns=self._timeline.byte.open_ns(now_ns),
                tcp=self._last_tcp,
                tcp_before=self._first_tcp,
                since_keepalive_ns=None if asked_ns is None else now_ns - asked_ns,
                stopped_together=self._stopped_together,
                client_blocked_ns=0 if self.client_waiting_ns is None else self.client_waiting_ns(now_ns),
                intermediary=self.intermediary,
                peer=None if self._tcp is None else self._tcp.address,
            )
        )

    def _local_facts(self, now_ns: int, gap_ns: int, phase: StallPhase) -> Silence:
        """The facts about this machine during the last ``gap_ns``, a silence in ``phase``."""
        monitor, since_ns = self._monitor, now_ns - gap_ns
        return Silence(
            gap_ns=gap_ns,
            stall_ns=self._timeline.threshold_ns(phase),
            late_ns=monitor.late_ns(since_ns, now_ns),
            canary_overdue_ns=monitor.canary_overdue_ns(since_ns, now_ns),
            suspended_ns=monitor.suspended_ns(since_ns),
            wall_step_ns=monitor.wall_step_ns(since_ns),
        )

    # -- emitting ------------------------------------------------------------------------------------------------------

    def _emit_started(
        self, t_ns: int, phase: StallPhase, gap_ms: float, found: Blame | None, tcp: TcpState | None = None
    ) -> None:
        self._announced = True
        threshold_ms = self._timeline.threshold_ns(phase) / MS
        self._emit(StallStarted(t_ns, self._run, self._attempt, phase, gap_ms, tcp, found, threshold_ms))

    def _emit_wire_silence(self, now_ns: int, gap_ns: int, found: Weighed, *, over: bool = False) -> None:
        """Emit a silence on the wire: when it passes the threshold, when its blame changes, and when it is over."""
        here, before = _near_blame(found), _near_blame(self._open_blame)
        seen_anew = here is not None and (before is None or _differ(here, before))
        if over or seen_anew or not self._announced:
            self._emit(WireSilence(now_ns, self._run, self._attempt, gap_ns / MS, over, here))
        self._announced = not over

    def on_bytes(self, t_ns: int) -> None:
        """Bytes arrived or the attempt ended: close an open wire silence. Call it before updating the timeline."""
        timeline = self._timeline
        if timeline.watched != "byte":
            return
        gap_ns = timeline.silence_ns(t_ns)
        if gap_ns is not None and gap_ns >= timeline.threshold_ns():
            own = weigh(self._local_facts(t_ns, gap_ns, timeline.stall_phase()))
            self._emit_wire_silence(
                t_ns, gap_ns, own if self._open_blame is None or own.blame.name == "us" else self._open_blame, over=True
            )
            self._open_blame = None
            self._reset()

    def _is_own(self, start_ns: int, end_ns: int, ended: bool) -> bool:
        """Whether this machine certainly caused the gap that is being closed. Keeps the blame for :meth:`closed`."""
        if ended:
            now_ns = time.monotonic_ns()
            here = weigh(self._local_facts(now_ns, now_ns - start_ns, self._timeline.stall_phase()))
            earlier = self._open_blame if self._checked_ns > start_ns else None
            self._closed_blame = here if here.blame.name == "us" else earlier
        else:
            self._closed_blame = self._find_blame(end_ns, end_ns - start_ns)
        return self._closed_blame is not None and self._closed_blame.blame.own

    def closed(self, t_ns: int, stall: Stall) -> None:
        """Emit that a stall was closed, by an arrival or by the end of the attempt."""
        found = None if self._closed_blame is None else self._closed_blame.blame
        if not self._announced:  # the arrival was processed before the timer could fire
            self._emit_started(t_ns, stall.phase, stall.duration_ms, found)
        self._emit(StallEnded(t_ns, self._run, self._attempt, stall.phase, stall.duration_ms, stall.ended, found))
        if stall.duration_ms >= self._longest_ms:
            self._longest_ms, self.longest = stall.duration_ms, self._closed_blame
        self._announced = False
        self._open_blame = None
        self._reset()

    def _reset(self) -> None:
        """Drop the TCP states of the last silence and stop the keep-alive probes."""
        self._first_tcp = self._last_tcp = None
        self._stopped_together = 0
        if self._tcp is not None:
            self._tcp.stop_probing()

    def stop(self) -> None:
        self._cancel_timer()
        self._monitor.streams.discard(self)


def _near_blame(found: Weighed | None) -> Blame | None:
    """The blame of a wire silence, except the other end: kmon cannot know whether that had anything to send."""
    return None if found is None or found.blame.name in ("beyond", "provider", "unknown") else found.blame


def _differ(now: Blame, before: Blame) -> bool:
    """Whether a blame says something new; the figures of its evidence change with every look."""
    return (now.name, now.why) != (before.name, before.why)
