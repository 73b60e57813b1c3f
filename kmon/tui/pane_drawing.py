"""One pane as rows: a pure function of a run, what was observed, the wrapped flow, and the size.

The border shows the target and the state, the last two lines show the gaps and the figures, a nudge or a failure
stands above them, and the rest is the end of the output. Short panes leave out lines from the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len

from kmon.dialects.unread_dialects import unread_words
from kmon.engine.nudge import FOLLOW_UP
from kmon.format import count, plural, seconds, threshold
from kmon.stream.attempt_view import AttemptView
from kmon.stream.state import ENDED, ObservedState, learned_sentence, retry_sentence
from kmon.stream.timeline import MS, S, Timeline
from kmon.stream.view import RunView
from kmon.tui import status_text
from kmon.tui.spans import BLANK, Span, Spans, fit, one_line, row_width, shorten, spread, wrap
from kmon.tui.sparkline import sparkline

SLICE_NS = 1 * S
MAX_COLUMNS = 120
NUDGE_ROWS = 3
"""The least rows of a nudge: its rule, the last row of its answer, its result."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a pane shows besides its run: which names are needed to tell the panes apart, and the alphabet."""

    ascii: bool = False
    scenario: bool = False
    round: bool = False
    round_word: str = "round"
    lost: bool = False
    """Whether the engine is gone, so that nothing is measured any more."""

    @property
    def border(self) -> tuple[str, str, str, str, str, str]:
        """Upper left, horizontal, upper right, vertical, lower left, lower right."""
        return ("+", "-", "+", "|", "+", "+") if self.ascii else ("╭", "─", "╮", "│", "╰", "╯")

    @property
    def cursor(self) -> str:
        return "_" if self.ascii else "▌"


@dataclass(frozen=True, slots=True)
class Flow:
    """The wrapped tails that a pane shows: of the deciding attempt, and of the nudge's answer."""

    main: Sequence[Spans] = ()
    nudge: Sequence[Spans] = ()


class Notes(NamedTuple):
    """What a pane notes besides its run: a fault of the screen itself, and what to expect of the open silence."""

    trouble: str = ""
    expected: str = ""


NO_NOTES = Notes()


def draw_pane(
    run: RunView,
    seen: ObservedState,
    flow: Flow,
    width: int,
    height: int,
    now_ns: int,
    look: Look,
    notes: Notes = NO_NOTES,
) -> list[Spans]:
    """``height`` rows of exactly ``width`` cells."""
    if width < 6 or height < 3:
        return [fit((Span(f"{status_text.symbol(seen.state, ascii=look.ascii)} {run.target}"),), width)] * height
    inner = width - 4
    _, line, _, side, lower_left, lower_right = look.border
    body = _body(run, seen, flow, inner, height - 2, now_ns, look, notes)
    body = [*body, *([BLANK] * (height - 2 - len(body)))]
    left, right = Span(f"{side} ", "border"), Span(f" {side}", "border")
    return [
        _title(run, seen, width, now_ns, look),
        *((left, *fit(row, inner), right) for row in body),
        (Span(lower_left + line * (width - 2) + lower_right, "border"),),
    ]


def _title(run: RunView, seen: ObservedState, width: int, now_ns: int, look: Look) -> Spans:
    upper_left, line, upper_right, *_ = look.border
    style = "muted" if look.lost and seen.state not in ENDED else f"state.{seen.state}"
    state = f" {status_text.standing(run, seen, now_ns, ascii=look.ascii, lost=look.lost, brief=width < 30)} "
    room = width - 4 - cell_len(state)
    names = _names(run, look)
    shown = shorten(names[0], max(1, room - 3))
    left: Spans = (Span(f" {shown} ", "title"),)
    for name in names[1:]:
        if row_width(left) + cell_len(name) + 1 < room:  # a cell of the border stays between name and state
            left = (*left, Span(f"{name} ", "title.dim"))
    return (
        Span(upper_left + line, "border"),
        *spread(left, (Span(state, style),), width - 4, Span(line, "border")),
        Span(line + upper_right, "border"),
    )


def _names(run: RunView, look: Look) -> list[str]:
    """Who this is, most telling first; the first is always shown, the others where they fit."""
    model = run.label.partition("/")[2]
    names = [one_line(run.target)]
    if look.round:
        names.append(f"{look.round_word} {run.round}")
    if look.scenario:
        names.append(one_line(run.scenario))
    if (main := run.main) is not None and main.role in ("retry", "turn", "fallback"):
        names.append(status_text.attempt_name(run, main))
    elsewhere = main is not None and main.target  # where the model is another one
    if run.target != run.label and model and not elsewhere:
        names.append(one_line(model))
    return names


def _body(
    run: RunView,
    seen: ObservedState,
    flow: Flow,
    width: int,
    height: int,
    now_ns: int,
    look: Look,
    notes: Notes,
) -> list[Spans]:
    attempt = run.main
    if attempt is None:
        waiting = Span("waits for its turn", "muted")
        return [(Span(shorten(notes.trouble, width), "error"),) if notes.trouble else (waiting,)]
    foot = [_gaps(attempt, width, now_ns, look)]
    if height >= 3:
        foot.append(_figures(attempt, seen, width, now_ns))
    room = height - len(foot)
    unused = room - max(1, len(flow.main)) - (NUDGE_ROWS if run.nudge is not None else 0)
    told = _notes(run, seen, width, min(room, max(1, room // 2, unused)), now_ns, notes)
    room -= len(told)
    nudge = _nudge(run, flow, width, room, look)
    room -= len(nudge)
    rows = list(flow.main[len(flow.main) - room :]) if 0 < room < len(flow.main) else list(flow.main[:room])
    if not rows and room > 0 and seen.state not in ENDED and run.scheduled is None:
        rows = [(Span(_before_first_token(attempt, seen), "muted"),)]
    blanks = [BLANK] * (room - len(rows))
    return [*rows, *nudge, *told, *blanks, *foot]


def _before_first_token(attempt: AttemptView, seen: ObservedState) -> str:
    if seen.state == "connecting":
        return "connecting"
    if attempt.timeline.watched == "progress":
        return "no token yet"
    return "no byte yet" if seen.state == "waiting" else ""


def _gaps(attempt: AttemptView, width: int, now_ns: int, look: Look) -> Spans:
    """``gaps ▁▁▂▇██ 5 s┄ max 17.2 s  stalls 2``."""
    timeline = attempt.timeline
    longest_ns = timeline.max_gap_ns(now_ns)
    stalls = len(timeline.stalls)
    open_ns = timeline.open_gap_ns(now_ns)
    stalls += open_ns is not None and open_ns >= timeline.threshold_ns()
    name, shown_ns = ("ttft", timeline.ttft_ns()) if _late_first_token(timeline, now_ns) else ("max", longest_ns)
    longest = "-" if shown_ns is None else seconds(shown_ns, 2 if shown_ns < S else 1)
    figure = f"{name} {longest:<7} stalls {stalls}" if width >= 34 else f"{name} {longest}"
    threshold_ns = timeline.threshold_ns(timeline.answer_phase())
    mark = f" {threshold(threshold_ns)} s{'-' if look.ascii else '┄'} "
    label = "gaps " if width >= 44 else ""
    columns = width - len(label) - len(mark) - len(figure)
    if columns < 4:
        return fit((Span(figure, "figure"),), width)
    columns = min(columns, MAX_COLUMNS)
    gaps_ns = timeline.slices(now_ns, SLICE_NS, columns)
    known = [gap for gap in gaps_ns if gap is not None]
    # Time runs to the right and fills from the left, so that a young run does not look like an old one.
    ordered: list[int | None] = [*known, *([None] * (columns - len(known)))]
    stalled = shown_ns is not None and shown_ns >= threshold_ns
    return (
        Span(label, "muted"),
        *sparkline(ordered, threshold_ns, ascii=look.ascii),
        Span(mark, "gap.threshold"),
        Span(figure, "gap.stall" if stalled else "figure"),
    )


def _figures(attempt: AttemptView, seen: ObservedState, width: int, now_ns: int) -> Spans:
    """What fits of: ttft, chunks, keep-alive, rate while it runs; finish, tokens, time when it ended."""
    timeline = attempt.timeline
    ttft_ns = timeline.ttft_ns()
    parts: list[str] = []
    if ttft_ns is not None and not _late_first_token(timeline, now_ns):
        parts.append(f"ttft {seconds(ttft_ns, 2)}")
    if seen.state in ENDED:
        if attempt.finish_reason:
            parts.append(one_line(attempt.finish_reason))
        if attempt.usage is not None and attempt.usage.completion_tokens is not None:
            parts.append(f"{attempt.usage.completion_tokens} tokens")
        parts.append(plural(timeline.chunk.ticks, "chunk"))
        parts.append(f"total {seconds(timeline.duration_ns(now_ns))}")
    else:
        ticks = timeline.chunk.ticks
        parts.append(f"{count(ticks)} {'chunk' if ticks == 1 else 'chunks'}")
        if seen.keepalive_ns is not None:
            alive = f"keep-alive {seconds(seen.keepalive_ns)} ago"
            if len("  ".join([*parts, alive])) > width:  # a sign of life in a silence is worth more than totals
                parts = [part for part in parts if len(f"{part}  {alive}") <= width][:1]
            parts.append(alive)
    line = ""
    for part in parts:
        longer = f"{line}  {part}" if line else part
        if cell_len(longer) <= width:
            line = longer
    return (Span(line, "figure"),)


def _late_first_token(timeline: Timeline, now_ns: int) -> bool:
    """Whether the wait for the first token was a stall and no gap since was longer: then it is the figure to show."""
    ttft_ns = timeline.ttft_ns()
    if ttft_ns is None or ttft_ns < timeline.threshold_ns("before-first-token"):
        return False
    return (timeline.max_gap_ns(now_ns) or 0) - ttft_ns < MS  # the longest counts this wait, too, rounded


def _notes(run: RunView, seen: ObservedState, width: int, limit: int, now_ns: int, notes: Notes) -> list[Spans]:
    """Whose the open silence is and what to expect of it, why it ended badly and what follows, or what the screen
    itself could not do: ``limit`` rows at most."""
    if notes.trouble:
        return [(Span(line, "error"),) for line in wrap(notes.trouble, width, limit)]
    if run.scheduled is not None and run.main is not None and limit > 0:
        again: Spans = (Span(shorten(one_line(retry_sentence(run.scheduled, now_ns)), width), "nudge"),)
        why = wrap(status_text.failure(run.main), width, limit - 1) if limit > 1 else []
        return [*((Span(line, "error"),) for line in why), again]
    if run.main is not None and run.main.claim is not None and run.main.ending is None and limit > 0:
        return both_sides(run, seen.claim, width, limit)
    if seen.state not in ENDED:
        return [(Span(line, "muted"),) for line in _of_silence(run, seen, width, limit, notes.expected)]
    if seen.state == "done":
        if run.ended and run.ended.diagnosis and limit > 0:
            return both_sides(run, seen.claim, width, limit)
        said = status_text.failure(run.main) if run.disturbed and run.main is not None else ""
        if not said and run.main is not None and run.main.unread:
            said = unread_words(run.main.unread_dialect)
        return [(Span(line, "muted"),) for line in wrap(said, width, limit)]
    sentence = status_text.called_off(run) or (status_text.failure(run.main) if run.main is not None else "")
    pen = "muted" if seen.state == "cancelled" else "error"
    return [(Span(line, pen),) for line in wrap(sentence, width, limit)] if limit > 0 else []


def _of_silence(run: RunView, seen: ObservedState, width: int, limit: int, expected: str) -> list[str]:
    """The blame of the open silence, what to expect of it, and the learned threshold, if there is one."""
    if run.main is None or limit <= 0:
        return []
    if wire := status_text.on_the_wire(run.main, seen):
        return wrap(wire, width, limit)
    stalled, blame = seen.state == "stalled", run.main.blame
    whose = [shorten(one_line(blame.brief), width)] if stalled and blame is not None else []
    learned = run.main.timeline.learned.get(seen.phase) if stalled and seen.phase is not None else None
    rest = "; ".join(part for part in (expected, "" if learned is None else learned_sentence(learned)) if part)
    return [*whose, *(wrap(rest, width, limit - len(whose)) if limit > len(whose) else ())]


def both_sides(run: RunView, claim: str, width: int, limit: int) -> list[Spans]:
    """What the chat program shows of a gateway's run, and below it on which side the run hangs."""
    shown: Spans = (Span("TUI  ", "muted"), Span(shorten(one_line(claim), max(1, width - 5)), "figure"))
    sentence, style = status_text.hanging(run), "error" if run.ended is None else "muted"
    return [shown, *((Span(line, style),) for line in wrap(sentence, width, limit - 1))] if limit > 1 else [shown]


def _nudge(run: RunView, flow: Flow, width: int, room: int, look: Look) -> list[Spans]:
    """The nudge, its answer and what came of it, set apart from the first answer above it."""
    if run.nudge is None or room <= 0:
        return []
    sentence = one_line(run.nudge_sentence)
    if room < 4:
        return [(Span(shorten(sentence or "nudge sent, no answer yet", width), "nudge"),)]
    line = "-" if look.ascii else "─"
    head = shorten(f"{line * 2} nudge: {FOLLOW_UP} ", width)
    rule: Spans = (Span(head + line * max(0, width - cell_len(head)), "nudge"),)
    answer_room = min((room - 1) // 2, len(flow.nudge)) if flow.nudge else 0
    answer = list(flow.nudge[len(flow.nudge) - answer_room :]) if answer_room else [(Span("no answer yet", "muted"),)]
    verdict: list[Spans] = [(Span(text, "nudge"),) for text in wrap(sentence, width, 1)]
    return [rule, *answer, *verdict]
