"""The lines above and below the panes: header, status and key hints, each a pure function of what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from kmon.stream.events import State
from kmon.stream.view import RaceView
from kmon.tui import figures, words
from kmon.tui.rows import Row, Span, fit, one_line, row_width, shorten, spread

RACE_HINTS: tuple[tuple[str, str], ...] = (
    ("n", "nudge"), ("x", "cancel"), ("r", "retry"), ("R", "retry all"), ("z", "zoom"), ("p", "freeze"),
    ("/", "filter"), ("s", "sort"), ("y", "copy"), ("?", "help"), ("q", "quit"),
)  # fmt: skip
PANES_HINTS: tuple[tuple[str, str], ...] = (("b", "board"), *RACE_HINTS)
ZOOM_HINTS: tuple[tuple[str, str], ...] = (
    ("esc", "back"), ("←→", "tabs"), ("space", "follow"), ("n", "nudge"), ("x", "cancel"), ("r", "retry"),
    ("p", "freeze"), ("y", "copy"), ("?", "help"), ("q", "quit"),
)  # fmt: skip
BOARD_HINTS: tuple[tuple[str, str], ...] = (
    ("enter", "zoom"), ("b", "panes"), ("n", "nudge"), ("x", "cancel"), ("r", "retry"), ("R", "retry all"),
    ("p", "freeze"), ("y", "copy"), ("?", "help"), ("q", "quit"),
)  # fmt: skip
CONCLUDED_HINTS: tuple[tuple[str, str], ...] = (
    ("enter", "zoom"), ("b", "panes"), ("pgup pgdn", "read"), ("shift+arrows", "tables"), ("r", "retry"),
    ("R", "retry all"), ("y", "copy"), ("?", "help"), ("q", "quit"),
)  # fmt: skip
LEAST_FACTS = 24
"""Cells of the facts before a verdict, without which it is about nobody."""
BUSY_LAG_MS = 200.0
"""Above it the machine is too busy to be trusted with fine differences."""
_LAST_TO_GO = (
    "quit",
    "help",
    "back",
    "panes",
    "board",
    "read",
    "nudge",
    "retry",
    "cancel",
    "zoom",
    "freeze",
    "filter",
    "sort",
)


@dataclass(frozen=True, slots=True)
class Header:
    """What the header tells: the race, its totals, and how the view is set."""

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


def header(h: Header, width: int) -> Row:
    """``kmon  code-tools · round 2 of 5 · simulated      ● 4 streaming  ▲ 1 stalled     00:42``."""
    dot = " - " if h.ascii else " · "
    left: Row = (Span(" kmon ", "brand"),)
    facts = [one_line(h.scenario)]
    if h.rounds > 1:
        facts.append(f"round {h.race.newest_round} of {h.rounds}")
    if h.origin:
        facts.append(one_line(h.origin))
    if h.filter:
        facts.append(f'filter "{one_line(h.filter)}"')
    if h.sort:
        facts.append(h.sort)
    clock = Span(f"  {figures.clock(h.elapsed_ns)} ", "figure.bar")
    frozen: Row = (Span(" FROZEN ", "frozen"), Span(" ", "bar")) if h.frozen else ()
    counted = words.totals(h.states)
    long_totals = _totals(counted, h.ascii, with_words=True)
    totals = long_totals
    text = dot.join(facts)
    if row_width(left) + len(text) + 3 + row_width((*frozen, *totals, clock)) > width:
        totals = _totals(counted, h.ascii, with_words=False)
    right: Row = (*frozen, *totals, clock)
    room = width - row_width(left) - row_width(right) - 2
    while len(facts) > 1 and len(dot.join(facts)) > room:
        facts.pop(1 if len(facts) > 2 else -1)
    left = (*left, Span(f" {shorten(dot.join(facts), max(0, room))}", "bar"))
    return spread(left, right, width, Span(" ", "bar"))


def _totals(counted: Sequence[tuple[State, str, int]], ascii: bool, *, with_words: bool) -> Row:
    spans: list[Span] = []
    for state, word, number in counted:
        sign = words.symbol(state, ascii=ascii)
        text = f"{sign} {number} {word}  " if with_words and state != "done" else f"{sign} {number}  "
        spans.append(Span(text if with_words else f"{sign} {number} ", f"bar.{state}"))
    return tuple(spans)


def status(sentence: str, alarm: bool, race: RaceView, engine_error: str | None, width: int, *, ascii: bool) -> Row:
    """The reconciliation on the left, the engine's own health on the right, as much of it as fits."""
    pen = "status.alarm" if alarm else "status"
    choices = engine_words(race, engine_error, ascii=ascii)
    room = [width - 2 - row_width(choice) for choice in choices]
    needed = row_width((Span(f" {sentence} "),))
    fitting = next((n for n, cells in enumerate(room) if cells >= needed), len(choices) - 1)
    left = (Span(_told(f" {sentence}", max(0, room[fitting])), pen),)
    return spread(left, (*choices[fitting], Span(" ", "status")), width, Span(" ", "status"))


def _told(sentence: str, width: int) -> str:
    """A sentence cut to ``width``, but not before what it comes to: ``... -> false idle (queued follow-up)``."""
    facts, arrow, verdict = sentence.rpartition(" -> ")
    kept = cell_len(arrow + verdict)
    if not arrow or cell_len(sentence) <= width or kept + LEAST_FACTS > width:
        return shorten(sentence, width)
    return shorten(facts, width - kept) + arrow + verdict


def engine_words(race: RaceView, engine_error: str | None, *, ascii: bool) -> list[Row]:
    """``engine ok · lag 0.3 ms · 5.1 k chunks`` and ever shorter ways to say it, or that the engine is gone."""
    if engine_error is not None:
        return [(Span("engine gone: kept what it had", "status.alarm"),), (Span("engine gone", "status.alarm"),)]
    dot = " - " if ascii else " · "
    health = race.health
    dropped: Row = ()
    if health is not None and health.dropped:
        dropped = (Span(f"{dot}{figures.count(health.dropped)} dropped", "status.alarm"),)
    if race.disturbed:
        runs = figures.plural(race.disturbed, "run")
        dropped = (*dropped, Span(f"{dot}{runs} disturbed by this machine", "status.alarm"))
    busy = health is not None and health.lag_ms > BUSY_LAG_MS
    parts = ["engine busy" if busy else "engine ok" if race.started else "engine starting"]
    if health is not None:
        parts.append(f"lag {health.lag_ms:.{0 if busy else 1}f} ms")
    parts.append(f"{figures.count(max(race.chunks, health.chunks if health else 0))} chunks")
    shorter = [parts[:n] for n in range(len(parts), 0, -1)]
    pen = "status.alarm" if busy else "status.engine"
    return [*((Span(dot.join(some), pen), *dropped) for some in shorter), ()]


def hints(keys: Sequence[tuple[str, str]], width: int, *, ascii: bool = False) -> Row:
    """Key hints, whole ones only: where there is no room the less urgent ones go first."""
    shown = list(keys)
    for gap in ("  ", " "):
        if _hint_width(shown, gap) <= width - 1:
            return _hint_row(shown, gap, width, ascii)
    while len(shown) > 1 and _hint_width(shown, "  ") > width - 1:
        shown.remove(max(shown, key=_rank))
    return _hint_row(shown, "  ", width, ascii)


def _rank(hint: tuple[str, str]) -> int:
    return _LAST_TO_GO.index(hint[1]) if hint[1] in _LAST_TO_GO else len(_LAST_TO_GO)


def _hint_width(keys: Sequence[tuple[str, str]], gap: str) -> int:
    return sum(len(key) + 1 + len(word) + len(gap) for key, word in keys)


def _hint_row(keys: Sequence[tuple[str, str]], gap: str, width: int, ascii: bool) -> Row:
    spans: list[Span] = [Span(" ", "hint")]
    for key, word in keys:
        spans += [Span("<- ->" if ascii and key == "←→" else key, "hint.key"), Span(f" {word}{gap}", "hint")]
    return fit(tuple(spans), width, "hint")
