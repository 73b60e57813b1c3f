"""An isolation as rows: its factors at both levels, the requests, and the answer. Pure functions of what they show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kmon.format import plural
from kmon.isolate.answer import answer
from kmon.isolate.experiment import Experiment
from kmon.isolate.rounds import Sent
from kmon.isolate.stages import Stage
from kmon.isolate.standing import probability_words, standing
from kmon.stats.isolation.state import FactorState, Rate
from kmon.stats.outcome import SIGNS
from kmon.stream.state import ObservedState, State
from kmon.stream.view import RunView
from kmon.tui import status_text
from kmon.tui.spans import BLANK, Span, Spans, fit, one_line, shorten, wrap

MARGIN = 1
COUNT_CELLS, BAR_LEAST, BAR_MOST, PROBABILITY_CELLS, STANDING_CELLS = 7, 8, 40, 7, 18
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
    experiment: Experiment,
    requests: Sequence[RequestRow],
    focus: str | None,
    size: tuple[int, int],
    moment: Moment,
) -> list[Spans]:
    """As many rows as ``size`` (cells, lines) has room for: factors first, the answer last, requests between them."""
    width, height = size
    top = [_summary(experiment, width), BLANK, *factor_rows(experiment, width, moment.ascii), BLANK]
    bottom = sentence_rows(experiment, width)
    room = max(1, height - len(top) - len(bottom) - 1)
    listed = [request_row(each, each.run.run == focus, width, moment) for each in requests[:room]]
    rows = [*top, *listed]
    return [*rows[: max(0, height - len(bottom))], *[BLANK] * (height - len(rows) - len(bottom)), *bottom][:height]


def _summary(experiment: Experiment, width: int) -> Spans:
    reported = experiment.reported
    who = f"{one_line(reported.target.name)} with {one_line(reported.scenario.name.partition(' ')[0])}"
    used = f"{plural(experiment.requests, 'request')} of {experiment.max_requests}"
    failed = sum(sent.failed is True for each in experiment.rounds for sent in each.sent)
    return (Span(" " * MARGIN), Span(shorten(who, width // 2), "title"), Span(f"   {used}, {failed} failed", "muted"))


# -- factors -----------------------------------------------------------------------------------------------------------


def bar_cells(width: int, names: int) -> int:
    """How wide each of the two bars of a factor can be."""
    left = width - MARGIN - names - 1 - 2 * (COUNT_CELLS + 2) - PROBABILITY_CELLS - STANDING_CELLS
    return max(BAR_LEAST, min(BAR_MOST, left // 2))


def factor_rows(experiment: Experiment, width: int, ascii: bool) -> Iterator[Spans]:
    """A heading, and a row per factor of every stage, those of parts set in a little."""
    stages = (*experiment.stages, *experiment.coming)
    names = max(len(HEADING), *(len(name) + 2 * (stage.name == "part") for stage in stages for name in stage.names))
    bar = bar_cells(width, names)
    level = COUNT_CELLS + bar + 2
    yield (
        Span(f"{' ' * MARGIN}{HEADING:<{names + 1}}", "muted"),
        Span(f"{'failed as reported':<{level}}{'failed when changed':<{level}}", "muted"),
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
        *_level(each.as_reported, bar, "gap.stall", ascii),
        *_level(each.changed, bar, "gap.calm", ascii),
        Span(f"{probability_words(each.probability):>{PROBABILITY_CELLS - 1}}", "figure.bold" if found else "figure"),
        Span(f"  {shorten(standing(stage, each), STANDING_CELLS - 2)}", style),
    )


def _level(rate: Rate, bar: int, style: str, ascii: bool) -> Spans:
    count = f"{rate.failures}/{rate.runs}" if rate.runs else "-"
    return (Span(f"{count:>{COUNT_CELLS - 1}} ", "figure.bold"), *rate_bar(rate, bar, style, ascii), Span("  "))


def rate_bar(rate: Rate, width: int, style: str, ascii: bool) -> Spans:
    """A rate from 0 (left) to 100 % (right) with its interval."""
    empty, inside, point = (".", "=", "o") if ascii else ("·", "━", "●")
    if not rate.runs:
        return (Span(empty * width, "muted"),)
    low, high, at = (
        _cell(share, width) for share in (rate.interval.low, rate.interval.high, rate.failures / rate.runs)
    )
    return (
        Span(empty * low, "muted"),
        Span(inside * (at - low), style),
        Span(point, style),
        Span(inside * (high - at), style),
        Span(empty * (width - 1 - high), "muted"),
    )


def _cell(share: float, width: int) -> int:
    return min(width - 1, int(share * width))


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


def sentence_rows(experiment: Experiment, width: int) -> list[Spans]:
    """The best sentence so far, wrapped."""
    title = "answer" if experiment.over else "so far"
    lines = wrap(answer(experiment), width - 2 * MARGIN, SENTENCE_LINES)
    style = "figure.bold" if experiment.over else "text"
    return [(Span(f"{' ' * MARGIN}{title}", "muted"),), *((Span(f"{' ' * MARGIN}{line}", style),) for line in lines)]
