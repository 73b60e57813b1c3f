"""Decides the signatures of silences: of attempts that timed out, and of stalls that ended. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from kmon.catalog.signatures import KMON_LATE
from kmon.dialects.assemble import Transcript
from kmon.findings.chunk_stats import ChunkStats
from kmon.findings.content import RequestFacts, looping
from kmon.findings.tool_call import shown
from kmon.stream.timeline import HIDDEN_PHASES, MS, S, Timeline

SOCKET_OPEN = frozenset({"no-headers", "keep-alives-only", "empty-deltas-only", "no-first-token"})
"""Silences up to the timeout on a socket that stayed open, which their evidence says."""
NOT_BROKEN = ("before-first-token", "after-last-delta", *HIDDEN_PHASES.values())
"""Phases in which a silence that ended interrupted no output."""
REPEATED = 3
"""From so many stalls in one answer on, they are repeated."""
EMPTY_CHUNKS = 3
"""From so many empty chunks on, they are more than a role announcement."""
NEAR = 0.9
"""From this share of the threshold on, a silence is nearly a stall."""
NEAR_TIMES, NEAR_SHARE = 5, 0.5
"""So many of them, which are together so large a share of the answer's time, are no pace but repeated stalls."""
OWN_LEAST_NS, OWN_SHARE = 1 * S, 0.2
"""From so long on, and from so large a share of its time, kmon's own standing still makes the limit of an attempt void:
ns, and a share. Less is the normal lag of a busy machine."""
QUARTERS_LEAST_TOKENS = 40
SLOWEST = 5.0
"""How many times as long the last quarter of an answer takes as the first, with no quarter shorter than one before."""
ONE_GAP = 0.35
"""A single gap of more than this share of the last quarter is a stall, not a slow pace."""
SAME_NS = 5 * MS
"""How far the ends of one silence may differ between the two folds that found it."""


def unended(
    timeline: Timeline, request: RequestFacts, transcript: Transcript, stats: ChunkStats, end_ns: int
) -> tuple[str, str]:
    """Signature and sentence of an attempt that its timeout ended; empty where ``SOCKET_OPEN`` says it all."""
    if timeline.t_request_sent is None:
        missing = "no TCP connection" if timeline.t_connect is None else "TCP is connected, no request could be sent"
        return "connect-timeout", missing
    stalled = bool(timeline.stalls) and not timeline.stalls[-1].ended
    if stalled and timeline.stalls[-1].own:
        return disturbed(timeline)
    if timeline.t_headers is None:
        return "no-headers", ""
    if timeline.hidden.active and timeline.t_finish is None:
        return _at_work(timeline, end_ns, stalled=stalled)
    if stats.idle_keepalives and _kept_up(timeline.life.last_ns, timeline, end_ns):
        return "keep-alives-only", f"{stats.idle_keepalives} keep-alives since the last output"
    if stalled and stats.idle_chunks >= EMPTY_CHUNKS and _kept_up(timeline.chunk.last_ns, timeline, end_ns):
        return "empty-deltas-only", f"{stats.idle_chunks} empty chunks since the last output"
    if stats.waiting_tool is not None:
        return "tool-arguments-never", f"{shown(stats.waiting_tool)!r} was named and none of its arguments came"
    if timeline.progress.last_ns is None:
        return "no-first-token", ""
    if stalled:
        return "hang-mid-stream", f"{timeline.stalls[-1].phase}, no byte since, neither FIN nor RST"
    return _still_coming(timeline, request, transcript, stats)


def _at_work(timeline: Timeline, end_ns: int, *, stalled: bool) -> tuple[str, str]:
    """Of a server that was still at hidden work: only keep-alives that stop tell a hang from work that takes long."""
    for_s = (end_ns - timeline.hidden.since_ns) / S
    if stalled:
        return "hang-mid-stream", f"{timeline.stalls[-1].phase}, its keep-alives stopped, neither FIN nor RST"
    if timeline.hidden.work == "reasoning":
        return "reasoning-without-end", f"hidden reasoning for {for_s:.1f} s, which sends nothing until its end"
    return "total-timeout", f"a tool of the server had run for {for_s:.1f} s"


def _kept_up(last_ns: int | None, timeline: Timeline, end_ns: int) -> bool:
    """Whether signs of life continued through most of the silence; one ping at its beginning does not count."""
    since_ns = timeline.progress.last_ns or timeline.t_request_sent or end_ns
    return last_ns is not None and end_ns - last_ns <= (end_ns - since_ns) // 2


def _still_coming(
    timeline: Timeline, request: RequestFacts, transcript: Transcript, stats: ChunkStats
) -> tuple[str, str]:
    if loop := looping(request, transcript, stats):
        return loop.name, loop.sentence
    if transcript.reasoning.strip() and not transcript.text.strip() and not transcript.tool_calls:
        return "reasoning-without-end", f"{len(transcript.reasoning)} characters of reasoning and no word of the answer"
    if sentence := slowing_down(timeline):
        return "slowing-down", sentence
    return "total-timeout", "output was still coming"


def out_of_time(timeline: Timeline, late_ns: int, end_ns: int) -> str:
    """A sentence if a limit ended the attempt while kmon itself had taken a good part of its time, else empty.

    What the server would have sent in that time is not known. A silence of the server that is longer than what kmon
    took remains the server's.
    """
    took_ns = end_ns - timeline.t_start
    if late_ns < max(OWN_LEAST_NS, OWN_SHARE * took_ns) or (timeline.left_open_ns or 0) - late_ns > late_ns:
        return ""
    return f"kmon itself stood still for {late_ns / S:.1f} s of the {took_ns / S:.1f} s until the limit"


def disturbed(timeline: Timeline) -> tuple[str, str]:
    """Signature and sentence of an attempt whose silences this machine caused."""
    each_s = [stall.duration_ms / 1000 for stall in timeline.stalls if stall.own]
    plural = "" if len(each_s) == 1 else "s"
    silences = f"{len(each_s)} silence{plural} of {', '.join(f'{s:.1f}' for s in each_s[:6])} s"
    return KMON_LATE, f"{silences} made by this machine, which did not read in time what had come"


def resumed(timeline: Timeline, stats: ChunkStats) -> tuple[str, str] | None:
    """Signature and sentence of silences that ended in a finished answer, or None without a fault.

    Silences that this machine caused do not count, nor does a slow first token, the time in which a server buffers
    tool arguments until they are complete, or the wait for a finish reason after the last output. Many silences just
    under the threshold do, if they are most of the answer.
    """
    silences = [stall for stall in timeline.stalls if stall.ended and not stall.own and stall.phase not in NOT_BROKEN]
    held = [(start_ns - SAME_NS, stop_ns + SAME_NS) for start_ns, stop_ns in stats.held_back]
    last_output_ns = (timeline.progress.last_ns or 0) + SAME_NS
    broken_ms = []
    for stall in silences:
        start_ns = timeline.t_start + stall.start_ms * MS
        stop_ns = start_ns + stall.duration_ms * MS
        if stop_ns <= last_output_ns and not any(low <= start_ns and stop_ns <= high for low, high in held):
            broken_ms.append(stall.duration_ms)
    if len(broken_ms) >= REPEATED:
        each = ", ".join(f"{ms / 1000:.1f}" for ms in broken_ms[:6])
        return "repeated-stalls", f"{len(broken_ms)} silences of {each} s, each of which ended"
    if sentence := slowing_down(timeline):
        return "slowing-down", sentence
    if near_ms := _nearly_stalled(timeline, held):
        each = f"{min(near_ms) / 1000:.1f} to {max(near_ms) / 1000:.1f} s"
        under = f"near the threshold of {timeline.stall_ns / S:g} s"
        return "repeated-stalls", f"{len(near_ms)} silences of {each}, {under}, are most of the answer's time"
    if broken_ms:
        return "stall-resumed", f"longest silence {max(broken_ms) / 1000:.1f} s, then it went on"
    return None


def _nearly_stalled(timeline: Timeline, held: Sequence[tuple[int, int]]) -> list[float]:
    """The silences of an answer that stood still for most of its time, in ms, where they are the server's alone."""
    stamps = timeline.arrivals_ns
    if len(stamps) < 2 or timeline.varying or any(stall.own for stall in timeline.stalls):
        return []
    gaps_ms = [
        (later - earlier) / MS
        for earlier, later in pairwise(stamps)
        if not any(low <= earlier and later <= high for low, high in held)
    ]
    near = [gap for gap in gaps_ms if gap >= NEAR * timeline.stall_ns / MS]
    most = sum(near) >= NEAR_SHARE * (stamps[-1] - stamps[0]) / MS
    return near if len(near) >= NEAR_TIMES and most else []


def slowing_down(timeline: Timeline) -> str:
    """The durations of an answer's four quarters in words, if they grow strongly; empty if they do not, or if this
    machine was blocked meanwhile."""
    stamps = timeline.arrivals_ns
    if len(stamps) < QUARTERS_LEAST_TOKENS or any(stall.own for stall in timeline.stalls):
        return ""
    places = [(len(stamps) - 1) * k // 4 for k in range(5)]
    quarters = [stamps[stop] - stamps[start] for start, stop in pairwise(places)]
    last_ns = quarters[-1]
    longest_gap_ns = max(later - earlier for earlier, later in pairwise(stamps[places[3] :]))
    if sorted(quarters) != quarters or last_ns < max(SLOWEST * quarters[0], timeline.stall_ns):
        return ""
    if longest_gap_ns > ONE_GAP * last_ns:
        return ""
    return "its quarters took " + ", ".join(f"{ns / S:.1f}" for ns in quarters) + " s"
