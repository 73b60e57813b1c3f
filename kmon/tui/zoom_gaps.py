"""The zoomed gaps: the whole run on the gap scale, its stalls and longest gaps, its phases and its origin."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import zip_longest

from kmon.dialects.unread_dialects import unread_words
from kmon.format import seconds, threshold
from kmon.openclaw.diagnosis import diagnoses
from kmon.stats.health import health_words
from kmon.stream.attempt_view import AttemptView
from kmon.stream.blame import Blame
from kmon.stream.stall import StallPhase
from kmon.stream.state import learned_sentence, shown_claim
from kmon.stream.target_events import TargetHealth
from kmon.stream.timeline import MS, S, Timeline
from kmon.stream.view import RunView
from kmon.tui import status_text
from kmon.tui.pane_drawing import Look
from kmon.tui.row_view import FixedRows
from kmon.tui.spans import BLANK, Span, Spans, one_line, shorten, wrap
from kmon.tui.sparkline import LEVELS, STALL_LEVEL, chart

STEPS_NS = tuple(n * MS for n in (50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 3_600_000))
LONGEST = 8
_AXIS = 7


def gap_rows(run: RunView, width: int, now_ns: int, look: Look, health: TargetHealth | None = None) -> FixedRows:
    """Everything the gaps tab shows about the deciding attempt, and the health of its target."""
    attempt = run.main
    if attempt is None:
        return FixedRows(((Span("waits for its turn", "muted"),),))
    rows = [
        *_chart(attempt.timeline, width, now_ns, look), BLANK,
        *_both_sides(run, attempt, width, now_ns),
        *_stalls(attempt, width, now_ns), BLANK,
        *_longest(attempt, now_ns), BLANK,
        *_phases(attempt.timeline, now_ns), BLANK,
        *_health(health, width),
        *_origin(attempt, width),
    ]  # fmt: skip
    return FixedRows(tuple(rows))


def _both_sides(run: RunView, attempt: AttemptView, width: int, now_ns: int) -> Iterator[Spans]:
    """What the chat program of a gateway shows, on which side the run hangs or hung, and what to do about it."""
    if attempt.claim is None:
        return
    yield (Span("The chat program and the run", "title"),)
    facts = [("TUI", shown_claim(attempt, now_ns)), ("run", status_text.hanging(run))]
    name = run.diagnosis.name if run.diagnosis is not None else ""
    if (text := diagnoses().get(name)) is not None:
        facts.append(("do", text.do))
    for label, said in facts:
        for n, line in enumerate(wrap(one_line(said), max(8, width - 8), 6)):
            yield (Span(f"  {label if n == 0 else '':<4}  ", "muted"), Span(line, "text"))
    yield BLANK


def _chart(timeline: Timeline, width: int, now_ns: int, look: Look) -> Iterator[Spans]:
    columns = max(8, width - _AXIS - 1)
    sent_ns = timeline.t_request_sent
    end_ns = timeline.t_finish or timeline.t_done or timeline.t_closed or now_ns
    span_ns = max(1, end_ns - (sent_ns or timeline.t_start))
    steps_ns = STEPS_NS if timeline.worst_ns is None else [step for step in STEPS_NS if step >= S]
    step_ns = next((step for step in steps_ns if span_ns <= step * columns), STEPS_NS[-1])
    gaps = [gap for gap in timeline.slices(now_ns, step_ns, columns) if gap is not None]
    padded: list[int | None] = [*gaps, *([None] * (columns - len(gaps)))]
    threshold_ns = timeline.threshold_ns(timeline.answer_phase())
    labels = {LEVELS - 1: "60 s", STALL_LEVEL: f"{threshold(threshold_ns)} s", 0: "50 ms"}
    for step, bars in zip(range(LEVELS - 1, -1, -1), chart(padded, threshold_ns, ascii=look.ascii), strict=True):
        yield (Span(f"{labels.get(step, ''):>{_AXIS - 1}} ", "muted"), *bars)
    unit = f"{step_ns // MS} ms" if step_ns < S else f"{step_ns // S} s"
    yield (Span(f"{'':>{_AXIS}}one column is {unit} and shows the worst gap in it; open gap last", "muted"),)


def _stalls(attempt: AttemptView, width: int, now_ns: int) -> Iterator[Spans]:
    timeline = attempt.timeline
    open_ns = timeline.open_gap_ns(now_ns)
    stalled_now = open_ns is not None and open_ns >= timeline.threshold_ns()
    number = len(timeline.stalls) + stalled_now
    yield (Span(f"Stalls over {timeline.stall_ns / S:g} s: {number}", "title"),)
    if attempt.unread:
        yield (Span(f"  {unread_words(attempt.unread_dialect)}: gaps are those between bytes", "muted"),)
    for learned in timeline.learned.values():
        yield (Span(f"  {learned_sentence(learned)}", "muted"),)
    for stall, blame in zip_longest(timeline.stalls, attempt.blames[: len(timeline.stalls)]):
        end = "" if stall.ended else "  never ended"
        yield _gap(stall.start_ms * MS, stall.duration_ms * MS, stall.phase, end, "gap.stall")
        yield from _blame(blame, width)
    if stalled_now and open_ns is not None:
        start_ns = now_ns - open_ns - timeline.t_start
        yield _gap(start_ns, open_ns, timeline.stall_phase(), "  open now", "gap.stall")
        yield from _blame(attempt.blame, width)


def _blame(blame: Blame | None, width: int) -> Iterator[Spans]:
    """The blame of a silence with its evidence."""
    if blame is not None:
        for line in wrap(one_line(f"{blame.brief}; {blame.evidence}"), max(8, width - 4), 6):
            yield (Span(f"    {line}", "muted"),)


def _longest(attempt: AttemptView, now_ns: int) -> Iterator[Spans]:
    timeline = attempt.timeline
    longest = [gap for gap in heapq.nlargest(LONGEST, timeline.gaps()) if gap[0] or timeline.worst_ns is None]
    thinned = "" if timeline.worst_ns is None else ", one of each second"
    yield (Span(f"Longest gaps of {max(0, timeline.watched_clock.ticks - 1)}{thinned}", "title"),)
    phases = _phase_by_stamp(attempt)
    for gap_ns, start_ns in longest:
        phase = phases.get(start_ns)
        style = "gap.stall" if gap_ns >= (timeline.threshold_ns(phase) if phase else timeline.stall_ns) else "text"
        yield _gap(start_ns - timeline.t_start, gap_ns, phase or "mid-stream", "", style)
    if not longest:
        yield (Span("  none yet", "muted"),)


def _phase_by_stamp(attempt: AttemptView) -> dict[int, StallPhase]:
    names: dict[str, StallPhase] = {
        "text": "mid-text", "reasoning": "mid-reasoning", "tool": "mid-tool-arguments",
    }  # fmt: skip
    return {chunk.t_ns: names[chunk.kind] for chunk in attempt.raw if chunk.kind in names}


def _gap(start_ns: float, duration_ns: float, phase: str, end: str, style: str) -> Spans:
    return (
        Span(f"  at {start_ns / S:8.2f} s  for {duration_ns / S:8.3f} s  ", style),
        Span(f"{phase}{end}", style if end else "muted"),
    )


def _phases(timeline: Timeline, now_ns: int) -> Iterator[Spans]:
    yield (Span("Phases, from the start of the attempt", "title"),)
    reached = (
        ("DNS", timeline.t_dns), ("TCP", timeline.t_connect), ("TLS", timeline.t_tls),
        ("request sent", timeline.t_request_sent), ("headers", timeline.t_headers),
        ("first reasoning", timeline.t_first_reasoning), ("first text", timeline.t_first_text),
        ("first tool call", timeline.t_first_tool), ("last token", timeline.progress.last_ns),
        ("finish", timeline.t_finish), ("terminal event", timeline.t_done), ("closed", timeline.t_closed),
    )  # fmt: skip
    for name, t_ns in reached:
        when = "        -" if t_ns is None else f"{(t_ns - timeline.t_start) / S:9.3f} s"
        yield (Span(f"  {name:<16}", "muted"), Span(when, "text"))


def _health(health: TargetHealth | None, width: int) -> Iterator[Spans]:
    if health is not None:
        yield (Span(f"Health of {shorten(one_line(health.target), max(4, width - 10))}, all its streams", "title"),)
        for line in wrap(health_words(health), max(8, width - 2), 4):
            yield (Span(f"  {line}", "text"),)
        yield BLANK


def _origin(attempt: AttemptView, width: int) -> Iterator[Spans]:
    yield (Span("Origin", "title"),)
    facts: list[tuple[str, str]] = [("url", attempt.url)]
    if attempt.proxy:
        facts.append(("proxy", attempt.proxy))
    if attempt.status is not None:
        facts.append(("status", str(attempt.status)))
    if attempt.model:
        facts.append(("model", attempt.model))
    if attempt.upstream:
        facts.append(("upstream", attempt.upstream))
    if (usage := attempt.usage) is not None:
        counts = (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
        shown = [("-" if n is None else str(n)) for n in counts]
        facts.append(("usage", f"{shown[0]} prompt + {shown[1]} completion = {shown[2]} tokens"))
    facts += attempt.request_ids.items()
    for name, value in facts:
        yield (
            Span(f"  {shorten(one_line(name), 24):<16} ", "muted"),
            Span(shorten(one_line(value), max(4, width - 19)), "text"),
        )
    timeline = attempt.timeline
    clocks = (("byte", timeline.byte), ("chunk", timeline.chunk), ("progress", timeline.progress),
              ("keep-alive", timeline.life))  # fmt: skip
    yield BLANK
    yield (Span("Clocks", "title"),)
    for name, clock in clocks:
        longest = seconds(clock.max_gap_ns, 3)
        yield (Span(f"  {name:<16}", "muted"), Span(f"{clock.ticks:>7} arrivals   max gap {longest}", "text"))
