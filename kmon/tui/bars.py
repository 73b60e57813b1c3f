"""The lines above and below the panes: header, status and key hints, each a pure function of what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from kmon.format import clock, count, plural
from kmon.stream.state import State
from kmon.stream.view import RaceView
from kmon.tui import status_text
from kmon.tui.keymap import Hint
from kmon.tui.spans import Span, Spans, fit, one_line, row_width, shorten, spread
from kmon.tui.status_text import StatusText

LEAST_FACTS = 24
"""The least cells of text kept before the end of a status; with less the whole is cut instead."""
BUSY_LAG_MS = 200.0
"""Lag of the engine, in ms, above which small differences between gaps mean nothing."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header shows: the race, its totals, and the settings of the view."""

    race: RaceView
    scenario: str
    rounds: int
    origin: str
    states: Mapping[State, int]
    elapsed_ns: int
    frozen: bool = False
    sort: str = ""
    filter: str = ""
    ascii: bool = False


def header(h: Header, width: int) -> Spans:
    """``kmon  code-tools · round 2 of 5 · simulated      ● 4 streaming  ▲ 1 stalled     00:42``."""
    dot = " - " if h.ascii else " · "
    left: Spans = (Span(" kmon ", "brand"),)
    facts = [one_line(h.scenario)]
    if h.rounds > 1:
        facts.append(f"round {h.race.newest_round} of {h.rounds}")
    if h.origin:
        facts.append(one_line(h.origin))
    if h.filter:
        facts.append(f'filter "{one_line(h.filter)}"')
    if h.sort:
        facts.append(h.sort)
    elapsed = Span(f"  {clock(h.elapsed_ns)} ", "figure.bar")
    frozen: Spans = (Span(" FROZEN ", "frozen"), Span(" ", "bar")) if h.frozen else ()
    counted = status_text.totals(h.states)
    long_totals = _totals(counted, h.ascii, with_words=True)
    totals = long_totals
    text = dot.join(facts)
    if row_width(left) + len(text) + 3 + row_width((*frozen, *totals, elapsed)) > width:
        totals = _totals(counted, h.ascii, with_words=False)
    right: Spans = (*frozen, *totals, elapsed)
    room = width - row_width(left) - row_width(right) - 2
    while len(facts) > 1 and len(dot.join(facts)) > room:
        facts.pop(1 if len(facts) > 2 else -1)
    left = (*left, Span(f" {shorten(dot.join(facts), max(0, room))}", "bar"))
    return spread(left, right, width, Span(" ", "bar"))


def _totals(counted: Sequence[tuple[State, str, int]], ascii: bool, *, with_words: bool) -> Spans:
    spans: list[Span] = []
    for state, word, number in counted:
        sign = status_text.symbol(state, ascii=ascii)
        text = f"{sign} {number} {word}  " if with_words and state != "done" else f"{sign} {number}  "
        spans.append(Span(text if with_words else f"{sign} {number} ", f"bar.{state}"))
    return tuple(spans)


def status(said: StatusText, race: RaceView, engine_error: str | None, width: int, *, ascii: bool) -> Spans:
    """The reconciliation on the left, the engine's own health on the right, as much of it as fits."""
    style = "status.alarm" if said.alarm else "status"
    choices = engine_words(race, engine_error, ascii=ascii)
    room = [width - 2 - row_width(choice) for choice in choices]
    needed = cell_len(f" {said.whole} ")
    fitting = next((n for n, cells in enumerate(room) if cells >= needed), len(choices) - 1)
    left = (Span(_cut(said, max(0, room[fitting])), style),)
    return spread(left, (*choices[fitting], Span(" ", "status")), width, Span(" ", "status"))


def _cut(said: StatusText, width: int) -> str:
    """The text cut to ``width``, but not its end, as long as there is room for both."""
    kept = cell_len(said.end)
    if not said.end or cell_len(said.whole) < width or kept + LEAST_FACTS > width:
        return shorten(f" {said.whole}", width)
    return shorten(f" {said.text}", width - kept) + said.end


def engine_words(race: RaceView, engine_error: str | None, *, ascii: bool) -> list[Spans]:
    """``engine ok · lag 0.3 ms · 5.1 k chunks``, then shorter forms of it; or that the engine is gone."""
    if engine_error is not None:
        return [(Span("engine gone: kept what it had", "status.alarm"),), (Span("engine gone", "status.alarm"),)]
    dot = " - " if ascii else " · "
    health = race.health
    dropped: Spans = ()
    if health is not None and health.dropped:
        dropped = (Span(f"{dot}{count(health.dropped)} dropped", "status.alarm"),)
    if race.disturbed:
        runs = plural(race.disturbed, "run")
        dropped = (*dropped, Span(f"{dot}{runs} disturbed by this machine", "status.alarm"))
    busy = health is not None and health.lag_ms > BUSY_LAG_MS
    parts = ["engine busy" if busy else "engine ok" if race.started else "engine starting"]
    if health is not None:
        parts.append(f"lag {health.lag_ms:.{0 if busy else 1}f} ms")
    parts.append(f"{count(max(race.chunks, health.chunks if health else 0))} chunks")
    shorter = [parts[:n] for n in range(len(parts), 0, -1)]
    style = "status.alarm" if busy else "status.engine"
    return [*((Span(dot.join(some), style), *dropped) for some in shorter), ()]


def hint_line(keys: Sequence[Hint], width: int, *, ascii: bool = False) -> Spans:
    """Key hints, whole ones only: where there is no room those with the highest rank go first."""
    shown = list(keys)
    for gap in ("  ", " "):
        if _hint_width(shown, gap) <= width - 1:
            return _hint_spans(shown, gap, width, ascii)
    while len(shown) > 1 and _hint_width(shown, "  ") > width - 1:
        shown.remove(max(shown, key=lambda hint: hint.rank))
    return _hint_spans(shown, "  ", width, ascii)


def _hint_width(keys: Sequence[Hint], gap: str) -> int:
    return sum(len(hint.key) + 1 + len(hint.word) + len(gap) for hint in keys)


def _hint_spans(keys: Sequence[Hint], gap: str, width: int, ascii: bool) -> Spans:
    spans: list[Span] = [Span(" ", "hint")]
    for hint in keys:
        key = "<- ->" if ascii and hint.key == "←→" else hint.key
        spans += [Span(key, "hint.key"), Span(f" {hint.word}{gap}", "hint")]
    return fit(tuple(spans), width, "hint")
