"""The three clocks of one attempt, and every gap on them.

A pure fold: stamps go in, figures come out, and ``now`` is always an argument. Engine and screen fold the same events
through this class, so that they agree about every gap.

The byte clock ticks on every read, the chunk clock on every chunk of the dialect, the progress clock on every chunk
with non-empty text, reasoning or tool arguments. The progress clock starts when the request is sent and is closed by
the finish reason, the dialect's terminal event or the end of the attempt. It stands still during hidden work
(``clock.py``), in which no output is due.

For an attempt that kmon does not read, the byte clock is watched: there are no stalls, and gaps are between bytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from kmon.dialects.delta import HiddenWork
from kmon.stream.clock import Clock, HiddenClock
from kmon.stream.events import StallThreshold
from kmon.stream.stall import Stall, StallPhase, WatchedClock
from kmon.transport.phase import Phase

MS = 1_000_000
S = 1_000_000_000
HIDDEN_PHASES: Mapping[HiddenWork, StallPhase] = {"reasoning": "mid-hidden-reasoning", "server-tool": "mid-server-tool"}
"""The phase of a silence in which a server works without output, by what it works on."""
ARRIVALS_LIMIT = 200_000
"""Stamps kept per attempt (1.6 MB). Later stamps are only counted, and the sparkline ends there."""
THIN_STAMPS, THIN_GAPS = 120, 240
"""What :meth:`Timeline.thin` keeps: so many stamps (1 kB), or the worst gap of so many slices (4 kB)."""


@dataclass(slots=True)
class Timeline:
    """Stamps, clocks and stalls of one attempt. All stamps are CLOCK_MONOTONIC ns or None."""

    t_start: int
    stall_ns: int
    t_dns: int | None = None
    t_connect: int | None = None
    t_tls: int | None = None
    t_reused: int | None = None
    t_request_sent: int | None = None
    t_headers: int | None = None
    t_first_reasoning: int | None = None
    t_first_text: int | None = None
    t_first_tool: int | None = None
    t_finish: int | None = None
    t_done: int | None = None
    t_closed: int | None = None
    byte: Clock = field(default_factory=Clock)
    chunk: Clock = field(default_factory=Clock)
    progress: Clock = field(default_factory=Clock)
    life: Clock = field(default_factory=Clock)
    """Keep-alives only: comments, pings."""
    hidden: HiddenClock = field(default_factory=HiddenClock)
    """Work of the server that sends no output."""
    watched: WatchedClock = "progress"
    arrivals_ns: array[int] = field(default_factory=lambda: array("q"))
    """Stamps of the watched clock, the first ``ARRIVALS_LIMIT`` of them."""
    worst_ns: array[int] | None = None
    """Once thinned, in place of the stamps: start and end of the longest gap in each slice of a second or more."""
    stalls: list[Stall] = field(default_factory=list)
    last_kind: str = ""
    tail_gap_ns: int = 0
    left_open_ns: int | None = None
    """Length of the progress gap in which the attempt was closed; None if no output was due, 0 if it is our own."""
    own_starts_ns: set[int] = field(default_factory=set)
    """Starts of the gaps of 1 s or more that this machine caused, whether they were stalls or not."""
    learned: dict[StallPhase, StallThreshold] = field(default_factory=dict)
    """Learned thresholds, which replace ``stall_ns`` in their phase."""
    on_gap: Callable[[StallPhase, int], None] | None = None
    """Called for each progress gap that an arrival ended, with phase and length in ns; not for gaps of this machine."""
    is_own: Callable[[int, int, bool], bool] | None = field(default=None, compare=False, repr=False)
    """Whether this machine caused a gap of 1 s or more, or a stall: start and end in ns, and whether data ended it."""

    @property
    def reused(self) -> bool:
        """Whether the request was sent over a connection that was used before; one found closed is replaced."""
        return self.t_reused is not None and self.t_connect is None

    # -- folding ---------------------------------------------------------------------------------------------------

    def on_phase(self, phase: Phase, t_ns: int) -> None:
        setattr(self, f"t_{phase}", t_ns)

    def watch_bytes(self, t_ns: int) -> Stall | None:
        """Watch the byte clock from now on; returns the stall that was open, if one was."""
        ended = self._close_stall(t_ns, ended=True)
        self.watched = "byte"
        return ended

    def on_bytes(self, t_ns: int) -> None:
        self.byte.tick(t_ns)
        if self.watched == "byte":
            self._keep(t_ns)

    def on_keepalive(self, t_ns: int) -> Stall | None:
        """Fold a keep-alive in; return the stall it ended: one of hidden work, in which it is owed."""
        self.on_bytes(t_ns)
        self.life.tick(t_ns)
        return self._on_life(t_ns, keepalive=True)

    def _on_life(self, t_ns: int, *, keepalive: bool) -> Stall | None:
        if not self.hidden.active:
            return None
        ended = self._close_stall(t_ns, ended=True)
        self.hidden.alive(t_ns, keepalive=keepalive)
        return ended

    def on_hidden_work(self, t_ns: int, work: HiddenWork) -> Stall | None:
        """Hidden work begins or ends; return the stall it ended. Until it begins, and after its end, output is due."""
        if self.hidden.active == (work != "none"):
            self.hidden.work = work
            return None
        ended = self._close_stall(t_ns, ended=True)
        if work == "none":
            self.hidden.end(t_ns)
            self.progress.from_ns = t_ns
        else:
            self.progress.max_gap_ns = max(self.progress.max_gap_ns, self.progress.open_ns(t_ns) or 0)
            self.hidden.begin(t_ns, work)
        return ended

    def on_chunk(
        self,
        t_ns: int,
        *,
        chunk: bool = True,
        text: bool = False,
        reasoning: bool = False,
        tool: bool = False,
        finish: bool = False,
        done: bool = False,
    ) -> Stall | None:
        """Fold one chunk in; return the stall it ended, if it ended one. ``chunk`` is False for ``[DONE]``.

        ``text``, ``reasoning`` and ``tool`` say which part of the answer it extended: any of them is progress.
        """
        ended = self._on_life(t_ns, keepalive=False)
        progress = text or reasoning or tool
        self.on_bytes(t_ns)
        if chunk:
            self.chunk.tick(t_ns)
        if text and self.t_first_text is None:
            self.t_first_text = t_ns
        if reasoning and self.t_first_reasoning is None:
            self.t_first_reasoning = t_ns
        if tool and self.t_first_tool is None:
            self.t_first_tool = t_ns
        if finish or done:
            self.on_hidden_work(t_ns, "none")
        if progress or finish or done:
            ended = self._close_stall(t_ns, ended=True) or ended
        if progress:
            self.progress.tick(t_ns)
            if self.watched == "progress":
                self._keep(t_ns)
            self.last_kind = "text" if text else "tool" if tool else "reasoning"
        elif (finish or done) and self.t_finish is None:
            self._close_progress(t_ns)
        if finish and self.t_finish is None:
            self.t_finish = t_ns
        if done and self.t_done is None:
            self.t_done = t_ns
        return ended

    def on_threshold(self, learned: StallThreshold) -> None:
        self.learned[learned.phase] = learned

    def on_closed(self, t_ns: int) -> Stall | None:
        """The attempt ended; an open gap becomes a censored one. Returns the stall left open, if any."""
        start_ns = None if self.t_finish is not None else self.gap_start()
        left_open = self._close_stall(t_ns, ended=False)
        if start_ns is not None:
            self.left_open_ns = 0 if start_ns in self.own_starts_ns else max(0, t_ns - start_ns)
        if self.t_finish is None and self.t_done is None:
            self._close_progress(t_ns)
        self.t_closed = t_ns
        return left_open

    def thin(self) -> None:
        """Replace the stamps of a closed attempt by the worst gap of each slice, which the sparkline's columns show."""
        if len(self.arrivals_ns) <= THIN_STAMPS:
            return
        stamps = self.arrivals_ns
        slice_ns = max(S, -(-(stamps[-1] - stamps[0]) // THIN_GAPS))
        worst: dict[int, tuple[int, int]] = {}
        previous_ns = stamps[0]
        for stamp_ns in stamps:
            at, longest = stamp_ns // slice_ns, worst.get(stamp_ns // slice_ns)
            gap = max(self.hidden.outside(previous_ns, stamp_ns), key=lambda part: part[1] - part[0], default=(0, 0))
            if longest is None or gap[1] - gap[0] > longest[1] - longest[0]:
                worst[at] = gap
            previous_ns = stamp_ns
        self.worst_ns = array("q", [t_ns for gap in worst.values() for t_ns in gap])
        self.arrivals_ns = array("q")

    def _keep(self, t_ns: int) -> None:
        if len(self.arrivals_ns) < ARRIVALS_LIMIT:
            self.arrivals_ns.append(t_ns)

    def _close_progress(self, t_ns: int) -> None:
        self.tail_gap_ns = 0 if self.hidden.active else self.watched_clock.open_ns(t_ns) or 0

    def _close_stall(self, t_ns: int, *, ended: bool) -> Stall | None:
        start_ns, phase = self.gap_start(), self.stall_phase()
        if start_ns is None:
            return None
        gap_ns = max(0, t_ns - start_ns)
        stalled = gap_ns >= self.threshold_ns(phase)
        own = (stalled or gap_ns >= S) and self.is_own is not None and self.is_own(start_ns, t_ns, ended)
        if own:
            self.own_starts_ns.add(start_ns)
        if ended and not own and not self.hidden.active and self.on_gap is not None:
            self.on_gap(phase, gap_ns)
        if not stalled:
            return None
        stall = Stall(phase, (start_ns - self.t_start) / MS, (t_ns - start_ns) / MS, ended, own)
        self.stalls.append(stall)
        return stall

    # -- reading ---------------------------------------------------------------------------------------------------

    def gap_start(self) -> int | None:
        """Start of the open progress gap; None where none is owed: before the request is sent, after the end, in an
        unread attempt, and in hidden work of a server that sends no keep-alives. If it does, the start is the last."""
        if self.t_closed is not None or self.t_done is not None or self.watched == "byte":
            return None
        if self.t_finish is not None:
            return max(self.t_finish, self.chunk.last_ns or 0)
        if self.hidden.active:
            return None if self.hidden.interval_ns is None else self.hidden.alive_ns
        start_ns = self.progress.last_ns or self.t_request_sent
        return None if start_ns is None else max(start_ns, self.progress.from_ns)

    def open_gap_ns(self, now_ns: int) -> int | None:
        """Length of the open progress gap, or None when none is open."""
        start_ns = self.gap_start()
        return None if start_ns is None else max(0, now_ns - start_ns)

    @property
    def watched_clock(self) -> Clock:
        """The clock whose gaps are shown."""
        return self.progress if self.watched == "progress" else self.byte

    def silence_start(self) -> int | None:
        """Start of the open gap on the watched clock; None when no arrival is expected."""
        if self.watched == "progress":
            return self.gap_start()
        over = self.t_closed is not None or self.t_done is not None
        return None if over else self.byte.last_ns or self.t_request_sent

    def silence_ns(self, now_ns: int) -> int | None:
        """Length of the open gap on the watched clock, or None when none is open."""
        start_ns = self.silence_start()
        return None if start_ns is None else max(0, now_ns - start_ns)

    def stall_phase(self) -> StallPhase:
        """The phase of a stall that is open now."""
        if self.t_finish is not None:
            return "after-last-delta"
        return HIDDEN_PHASES.get(self.hidden.work) or self.answer_phase()

    def threshold_ns(self, phase: StallPhase | None = None) -> int:
        """The stall threshold in ``phase``, or in the current phase."""
        if self.hidden.active and (phase is None or phase in HIDDEN_PHASES.values()):
            return self.stall_ns + (self.hidden.interval_ns or 0)
        learned = self.learned.get(phase or self.stall_phase()) if self.learned else None
        return self.stall_ns if learned is None else int(learned.threshold_ms * MS)

    @property
    def varying(self) -> bool:
        """Whether the threshold may differ from gap to gap."""
        return bool(self.learned or self.hidden.active or self.hidden.spans)

    def answer_phase(self) -> StallPhase:
        """The phase by the last output, also after the end of the answer."""
        if self.last_kind == "text":
            return "mid-text"
        if self.last_kind == "tool":
            return "mid-tool-arguments"
        return "mid-reasoning" if self.last_kind == "reasoning" else "before-first-token"

    def ttft_ns(self) -> int | None:
        """Request sent to first progress (reasoning counts)."""
        if self.progress.first_ns is None or self.t_request_sent is None:
            return None
        return max(0, self.progress.first_ns - self.t_request_sent)

    def ttfo_ns(self) -> int | None:
        """Request sent to first text or tool call."""
        firsts = [t for t in (self.t_first_text, self.t_first_tool) if t is not None]
        if not firsts or self.t_request_sent is None:
            return None
        return max(0, min(firsts) - self.t_request_sent)

    def max_gap_ns(self, now_ns: int) -> int | None:
        """The longest gap on the watched clock, the open one included.

        The wait for the first token is TTFT, not a gap. It counts here only while nothing has arrived, and if it was a
        stall, so that no stall is longer than the longest gap. None when no request was sent.
        """
        clock = self.watched_clock
        if clock.last_ns is None:
            if self.t_closed is not None or self.t_done is not None:
                sent_ns = self.t_request_sent
                return None if sent_ns is None else (self.t_closed or now_ns) - sent_ns
            return self.silence_ns(now_ns)
        open_ns = 0
        if self.t_finish is None and self.t_done is None and self.t_closed is None:
            open_ns = self.silence_ns(now_ns) or 0
        stalled_ns = int(max((stall.duration_ms for stall in self.stalls), default=0.0) * MS)
        return max(clock.max_gap_ns, self.tail_gap_ns, open_ns, stalled_ns)

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Length and start of each ended gap on the watched clock; once thinned, of the longest in each slice."""
        if self.worst_ns is not None:
            starts, ends = self.worst_ns[::2], self.worst_ns[1::2]
        else:
            starts, ends = self.arrivals_ns[:-1], self.arrivals_ns[1:]
        if self.worst_ns is None and self.hidden.spans:
            parts = (part for gap in zip(starts, ends, strict=True) for part in self.hidden.outside(*gap))
            return ((end - start, start) for start, end in parts)
        return ((end - start, start) for start, end in zip(starts, ends, strict=True))

    def duration_ns(self, now_ns: int) -> int:
        """Attempt start to its end, or to now."""
        return (self.t_closed or now_ns) - self.t_start

    def slices(self, now_ns: int, slice_ns: int, count: int) -> list[int | None]:
        """The worst gap on the watched clock in each of the last ``count`` time slices, in ns, oldest first.

        A gap counts in every slice it covers with the age it had reached there, so a stall climbs from column to
        column and the open gap grows in the last one. None marks slices before the request was sent.
        """
        end_ns = self.t_finish or self.t_done or self.t_closed or now_ns
        sent_ns = self.t_request_sent
        out: list[int | None] = [None] * count
        if sent_ns is None:
            return out
        last_slice = max(0, (end_ns - sent_ns) // slice_ns)
        first_slice = max(0, last_slice - count + 1)

        def note(start_ns: int, stop_ns: int) -> None:
            if self.hidden.spans or self.hidden.active:
                for part in self.hidden.outside(start_ns, stop_ns):
                    show(*part)
            else:
                show(start_ns, stop_ns)

        def show(start_ns: int, stop_ns: int) -> None:
            for k in range(max(first_slice, (start_ns - sent_ns) // slice_ns), last_slice + 1):
                slice_end_ns = sent_ns + (k + 1) * slice_ns
                age_ns = min(stop_ns, slice_end_ns) - start_ns
                column = k - first_slice
                out[column] = max(out[column] or 0, age_ns)
                if slice_end_ns >= stop_ns:
                    break

        if self.worst_ns is not None:
            for gap_ns, start_ns in self.gaps():
                note(start_ns, start_ns + gap_ns)
            clock = self.watched_clock
            if clock.first_ns is not None and clock.last_ns is not None:
                note(sent_ns, clock.first_ns)
                note(clock.last_ns, max(end_ns, clock.last_ns))
            return _filled(out, last_slice - first_slice + 1)
        stamps = self.arrivals_ns
        left = len(stamps)
        horizon_ns = sent_ns + first_slice * slice_ns
        while left and stamps[left - 1] >= horizon_ns:
            left -= 1
        previous_ns = stamps[left - 1] if left else sent_ns
        # Nearly all gaps lie within one slice: those are only compared, once per slice, because this runs for every
        # pane in every frame.
        slice_end_ns, worst_ns = previous_ns, -1
        for stamp_ns in stamps[left:]:
            if stamp_ns < slice_end_ns:
                if stamp_ns - previous_ns > worst_ns:
                    worst_ns = stamp_ns - previous_ns
            else:
                if worst_ns >= 0:
                    show(slice_end_ns - slice_ns, slice_end_ns - slice_ns + worst_ns)
                note(previous_ns, stamp_ns)
                slice_end_ns, worst_ns = sent_ns + ((stamp_ns - sent_ns) // slice_ns + 1) * slice_ns, -1
            previous_ns = stamp_ns
        if worst_ns >= 0:
            show(slice_end_ns - slice_ns, slice_end_ns - slice_ns + worst_ns)
        if end_ns > previous_ns:
            note(previous_ns, end_ns)
        return _filled(out, last_slice - first_slice + 1) if self.hidden.spans or self.hidden.active else out


def _filled(gaps_ns: list[int | None], shown: int) -> list[int | None]:
    """The slices with no gap for those of the first ``shown`` of which nothing is known: hidden work, or thinned."""
    return [0 if gap is None and column < shown else gap for column, gap in enumerate(gaps_ns)]
