"""An isolation as rows: its factors at both levels, the requests, and the answer. Pure functions of what they show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kmon.format import plural
from kmon.isolate.answer import answer
from kmon.isolate.experiment import Experiment
from kmon.isolate.rounds import Sent
from kmon.isolate.shrink_answer import shrink_answer
from kmon.isolate.shrinking import Shrinking
from kmon.isolate.stages import Stage
from kmon.isolate.standing import probability_words, standing
from kmon.stats.isolation.state import FactorState
from kmon.stats.outcome import SIGNS
from kmon.stream.state import ObservedState, State
from kmon.stream.view import RunView
from kmon.tui import status_text
from kmon.tui.rate_bars import COUNT_CELLS, bar_cells, level
from kmon.tui.shrink_drawing import part_rows
from kmon.tui.spans import BLANK, Span, Spans, fit, one_line, shorten, wrap

MARGIN = 1
PROBABILITY_CELLS, STANDING_CELLS = 7, 18
LABEL_CELLS = 44
SENTENCE_LINES = 6
HEADING = "factor"


class Moment(NamedTuple):
    """When and how it is drawn. ``lost``: the engine is gone, nothing is measured any more."""

    now_ns: int
    ascii: bool = False
    lost: bool = False


class RequestRow(NamedTuple):
    """A request as it is listed."""

    run: RunView
    seen: ObservedState
    sent: Sent | None


def draw(
    experiment: Experiment | Shrinking,
    requests: Sequence[RequestRow],
    focus: str | None,
    size: tuple[int, int],
    moment: Moment,
) -> list[Spans]:
    """As many rows as ``size`` (cells, lines) has room for: factors or parts, then requests, then the answer."""
    width, height = size
    bottom = sentence_rows(experiment, width)
    if isinstance(experiment, Shrinking):
        table = part_rows(experiment, width, max(1, (height - len(bottom)) * 2 // 3), moment.ascii)
    else:
        table = factor_rows(experiment, width, moment.ascii)
    top = [_summary(experiment, width), BLANK, *table, BLANK]
    room = max(1, height - len(top) - len(bottom) - 1)
    listed = [request_row(each, each.run.run == focus, width, moment) for each in requests[:room]]
    rows = [*top, *listed]
    return [*rows[: max(0, height - len(bottom))], *[BLANK] * (height - len(rows) - len(bottom)), *bottom][:height]


def _summary(experiment: Experiment | Shrinking, width: int) -> Spans:
    reported = experiment.reported
    who = f"{one_line(reported.target.name)} with {one_line(reported.scenario.name.partition(' ')[0])}"
    used = f"{plural(experiment.requests, 'request')} of {experiment.max_requests}"
    failed = sum(sent.failed is True for each in experiment.rounds for sent in each.sent)
    return (Span(" " * MARGIN), Span(shorten(who, width // 2), "title"), Span(f"   {used}, {failed} failed", "muted"))


# -- factors -----------------------------------------------------------------------------------------------------------


def factor_rows(experiment: Experiment, width: int, ascii: bool) -> Iterator[Spans]:
    """A heading, and a row per factor of every stage, those of parts set in a little."""
    stages = (*experiment.stages, *experiment.coming)
    names = max(len(HEADING), *(len(name) + 2 * (stage.name == "part") for stage in stages for name in stage.names))
    bar = bar_cells(width, MARGIN + names + 1 + PROBABILITY_CELLS + STANDING_CELLS)
    cells = COUNT_CELLS + bar + 2
    yield (
        Span(f"{' ' * MARGIN}{HEADING:<{names + 1}}", "muted"),
        Span(f"{'failed as reported':<{cells}}{'failed when changed':<{cells}}", "muted"),
        Span(f"{'cause':>{PROBABILITY_CELLS - 1}}", "muted"),
    )
    for stage in stages:
        state = stage.state
        for at, name in enumerate(stage.names):
            shown = f"{' ' * MARGIN}{'  ' * (stage.name == 'part') + name:<{names + 1}}"
            if state is None:
                yield (Span(shown, "muted"), Span("not asked yet", "muted"))
            else:
                yield _factor_row(stage, state.factors[at], shown, bar, ascii)


def _factor_row(stage: Stage, each: FactorState, shown: str, bar: int, ascii: bool) -> Spans:
    found = stage.conclusion is not None and each.factor in stage.conclusion.factors
    style = "border.focus" if found else "muted" if each.dropped else "text"
    return (
        Span(shown, style),
        *level(each.as_reported, bar, "gap.stall", ascii),
        *level(each.changed, bar, "gap.calm", ascii),
        Span(f"{probability_words(each.probability):>{PROBABILITY_CELLS - 1}}", "figure.bold" if found else "figure"),
        Span(f"  {shorten(standing(stage, each), STANDING_CELLS - 2)}", style),
    )


# -- requests ----------------------------------------------------------------------------------------------------------


def request_row(each: RequestRow, in_focus: bool, width: int, moment: Moment) -> Spans:
    """``▸ r12.3  -tools -stream   ▲ stalled 6.2 s``; ended ones with their outcome, and why they say nothing."""
    mark = (">" if moment.ascii else "▸") if in_focus else " "
    label = each.run.scenario if each.sent is None else each.sent.label
    left = (
        Span(f"{mark} ", "cursor"),
        Span(f"{each.run.run:<7}", "muted"),
        Span(f"{shorten(one_line(label), LABEL_CELLS):<{min(LABEL_CELLS, max(20, width // 3))}} ", "text"),
    )
    return fit((*left, *_outcome(each, moment)), width)


def _outcome(each: RequestRow, moment: Moment) -> Spans:
    if each.sent is None or each.sent.outcome is None:
        words = status_text.standing(each.run, each.seen, moment.now_ns, ascii=moment.ascii, lost=moment.lost)
        return (Span(words, f"state.{each.seen.state}"),)
    outcome, failed = each.sent.outcome, each.sent.failed
    state: State = "cancelled" if failed is None else "failed" if failed else "done"
    sign = status_text.symbol(state, ascii=moment.ascii)
    silent = " (says nothing)" if failed is None else ""
    return (
        Span(f"{sign} {SIGNS[outcome.name].label.lower()}{silent}", f"state.{state}"),
        Span(f"  {one_line(outcome.sentence)}", "muted"),
    )


# -- the answer --------------------------------------------------------------------------------------------------------


def sentence_rows(experiment: Experiment | Shrinking, width: int) -> list[Spans]:
    """The best sentence so far, wrapped."""
    title = "answer" if experiment.over else "so far"
    said = shrink_answer(experiment) if isinstance(experiment, Shrinking) else answer(experiment)
    lines = wrap(said, width - 2 * MARGIN, SENTENCE_LINES)
    style = "figure.bold" if experiment.over else "text"
    return [(Span(f"{' ' * MARGIN}{title}", "muted"),), *((Span(f"{' ' * MARGIN}{line}", style),) for line in lines)]
