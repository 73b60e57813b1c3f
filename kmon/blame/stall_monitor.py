"""Tells of a stall while it is open, and whose it is: one timer per attempt, moved along by every progress."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from kmon.blame.local_monitor import LocalMonitor
from kmon.blame.weigh import Silence, blame
from kmon.stream.blame import Blame
from kmon.stream.events import Blamed, Event, Stall, StallEnded, StallPhase, StallStarted, WireSilence
from kmon.stream.timeline import MS, S, Timeline
from kmon.transport.tcp_info import TcpSampler, TcpState

ASK_AHEAD_NS = 1 * S
ASK_AHEAD_SHARE = 0.2
"""How long before a silence becomes a stall the peer's kernel is asked, so that its answer is there by then."""
LOOK_EVERY_S = 1.0


class StallMonitor:
    """Emits ``stall_started`` when the open progress gap passes the threshold, and ``stall_ended`` for each.

    While a stall is open the witnesses are heard every second; ``blame`` is what they last said of the longest one.
    Of an attempt on the byte clock it tells ``wire_silence`` instead, and accuses nobody at the other end.
    """

    def __init__(
        self, run: str, attempt: int, timeline: Timeline, machine: LocalMonitor, emit: Callable[[Event], None]
    ) -> None:
        self._run, self._attempt, self._timeline, self._emit = run, attempt, timeline, emit
        self._machine = machine
        self._timer: asyncio.TimerHandle | None = None
        self._announced = False
        self._told_from_ns: int | None = None
        """Where the open gap that was told of began."""
        self._line: TcpSampler | None = None
        self._first: TcpState | None = None
        self._last: TcpState | None = None
        self._together = 0
        """How many streams fell silent at once with this one; that some go on later does not change it."""
        self._open: Blame | None = None
        self._looked_ns = 0
        self._longest_ms = 0.0
        self.between = ""
        self.client_waiting_ns: Callable[[int], int] | None = None
        """Of a stream that is passed on: for how long, at a moment, its client has not taken what was offered."""
        self.blame: Blame | None = None
        self._closed: Blame | None = None
        """Whose the gap was that was closed last."""
        timeline.is_own = self._is_own

    # -- a stream among others ---------------------------------------------------------------------------------------

    def on_sampler(self, line: TcpSampler) -> None:
        """The attempt has a connection; it is looked at when a stall begins, and while it lasts."""
        self._line = line
        self._machine.streams.add(self)

    @property
    def peer(self) -> str:
        return "" if self._line is None else self._line.peer

    @property
    def last_byte_ns(self) -> int | None:
        """When anything last came; None before the first output, when silence has not one cause for all, and after."""
        timeline = self._timeline
        flowing = timeline.progress.first_ns is not None and timeline.gap_start() is not None
        return timeline.byte.last_ns if flowing else None

    # -- the timer ---------------------------------------------------------------------------------------------------

    def arm(self, now_ns: int) -> None:
        """Make sure a timer is running. It is not moved per chunk: when it fires it looks again.

        Only where thresholds are learned can one be due sooner than the timer that runs; then it is set anew.
        """
        if self._announced and self._timeline.silence_start() != self._told_from_ns:
            self._announced = False  # what was read late had come in time: it was no stall, and the next may be due
            self._unset()
        if self._announced or (self._timer is not None and not self._timeline.learned):
            return
        gap_ns = self._timeline.silence_ns(now_ns)
        if gap_ns is None:
            return
        ask_ns = self._ask_ns
        due_ns = ask_ns if self._first is None and gap_ns < ask_ns else self._timeline.threshold_ns()
        wait_s = max(0.0, (due_ns - gap_ns) / S)
        if self._timer is None or self._timer.when() > asyncio.get_running_loop().time() + wait_s:
            self._again(wait_s)

    @property
    def _ask_ns(self) -> int:
        stall_ns = self._timeline.threshold_ns()
        return stall_ns - int(min(ASK_AHEAD_NS, ASK_AHEAD_SHARE * stall_ns))

    def _again(self, wait_s: float) -> None:
        self._unset()
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._look)

    def _unset(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now_ns = time.monotonic_ns()
        gap_ns = self._timeline.silence_ns(now_ns)
        if gap_ns is None:
            return
        if self._timeline.silence_start() != self._told_from_ns:  # what was read late had come in time: it was no stall
            self._announced, self._open = False, None
        if gap_ns >= self._timeline.threshold_ns():
            found = self._weigh(now_ns, gap_ns)
            if self._timeline.watched == "byte":
                self._tell_wire(now_ns, gap_ns, found)
            elif not self._announced:
                self._announce(now_ns, self._timeline.stall_phase(), gap_ns / MS, found, self._last)
            elif self._open is None or (found.name, found.why) != (self._open.name, self._open.why):
                self._emit(Blamed(now_ns, self._run, self._attempt, found))
            self._open, self._told_from_ns, self._looked_ns = found, self._timeline.silence_start(), now_ns
            self._again(LOOK_EVERY_S)
        elif gap_ns >= self._ask_ns:
            self._hear()
            self.arm(now_ns)
        else:
            self._rest()
            self.arm(now_ns)

    # -- the witnesses -----------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        """Look at the connection, and have the kernel ask its peer."""
        if self._line is None:
            return
        self._last = self._line.look() or self._last  # of a line just closed, what was last seen still holds
        if self._first is None:
            self._first = self._last
        self._line.ask(self._last.unanswered_probes if self._last is not None else 0)

    def _weigh(self, now_ns: int, gap_ns: int) -> Blame:
        """Hear everybody about the open gap."""
        self._hear()
        asked_ns = None if self._line is None else self._line.asked_ns
        self._together = max(self._together, self._machine.fell_silent_together(self))
        return blame(
            replace(
                self._at_home(now_ns, gap_ns, self._timeline.stall_phase()),
                heard_ns=self._timeline.byte.open_ns(now_ns),
                witness=self._last,
                before=self._first,
                asked_ns=None if asked_ns is None else now_ns - asked_ns,
                together=self._together,
                client_ns=0 if self.client_waiting_ns is None else self.client_waiting_ns(now_ns),
                between=self.between,
            )
        )

    def _at_home(self, now_ns: int, gap_ns: int, phase: StallPhase) -> Silence:
        """What this machine says of itself during the last ``gap_ns``, a silence in ``phase``."""
        machine, since_ns = self._machine, now_ns - gap_ns
        return Silence(
            gap_ns=gap_ns,
            stall_ns=self._timeline.threshold_ns(phase),
            late_ns=machine.late_ns(since_ns, now_ns),
            canary_mute_ns=machine.canary_mute_ns(since_ns, now_ns),
            asleep_ns=machine.asleep_ns(since_ns),
            wall_step_ns=machine.wall_step_ns(since_ns),
        )

    # -- telling -----------------------------------------------------------------------------------------------------

    def _announce(
        self, t_ns: int, phase: StallPhase, gap_ms: float, found: Blame | None, witness: TcpState | None = None
    ) -> None:
        self._announced = True
        threshold_ms = self._timeline.threshold_ns(phase) / MS
        self._emit(StallStarted(t_ns, self._run, self._attempt, phase, gap_ms, witness, found, threshold_ms))

    def _tell_wire(self, now_ns: int, gap_ns: int, found: Blame, *, over: bool = False) -> None:
        """A silence on the wire: when it is long enough, when it is seen otherwise, and when it is over."""
        here, before = _this_side(found), _this_side(self._open)
        seen_anew = here is not None and (before is None or (here.name, here.why) != (before.name, before.why))
        if over or seen_anew or not self._announced:
            self._emit(WireSilence(now_ns, self._run, self._attempt, gap_ns / MS, over, here))
        self._announced = not over

    def heard(self, t_ns: int) -> None:
        """Something came on the byte clock, or the attempt ended: a silence there is over. Called before the fold."""
        timeline = self._timeline
        if timeline.watched != "byte":
            return
        gap_ns = timeline.silence_ns(t_ns)
        if gap_ns is not None and gap_ns >= timeline.threshold_ns():
            own = blame(self._at_home(t_ns, gap_ns, timeline.stall_phase()))
            self._tell_wire(t_ns, gap_ns, own if self._open is None or own.name == "us" else self._open, over=True)
            self._open = None
            self._rest()

    def _is_own(self, start_ns: int, end_ns: int, ended: bool) -> bool:
        """Whether a gap that is being closed was certainly this machine's own; whose it was is kept for the telling."""
        if ended:
            now_ns = time.monotonic_ns()
            here = blame(self._at_home(now_ns, now_ns - start_ns, self._timeline.stall_phase()))
            told = self._open if self._looked_ns > start_ns else None
            self._closed = here if here.name == "us" else told
        else:
            self._closed = self._weigh(end_ns, end_ns - start_ns)
        return self._closed is not None and self._closed.own

    def closed(self, t_ns: int, stall: Stall) -> None:
        """A stall was closed: by an arrival, or by the end of the attempt."""
        found = self._closed
        if not self._announced:  # the arrival was processed before the timer could fire
            self._announce(t_ns, stall.phase, stall.duration_ms, found)
        self._emit(StallEnded(t_ns, self._run, self._attempt, stall.phase, stall.duration_ms, stall.ended, found))
        if stall.duration_ms >= self._longest_ms:
            self._longest_ms, self.blame = stall.duration_ms, found
        self._announced = False
        self._open = None
        self._rest()

    def _rest(self) -> None:
        """No silence is being watched: forget what was seen in the last one, and ask no more."""
        self._first = self._last = None
        self._together = 0
        if self._line is not None:
            self._line.stop_probing()

    def stop(self) -> None:
        self._unset()
        self._machine.streams.discard(self)


def _this_side(found: Blame | None) -> Blame | None:
    """Whose a silence on the wire is, unless it is the other end's: what that owes, nobody can know who cannot read."""
    return None if found is None or found.name in ("provider", "unknown") else found
