"""Keys, symbols and words, on one page."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar, get_args

from textual.binding import BindingType
from textual.content import Content
from textual.screen import ModalScreen

from kmon.stats.outcome import SIGNS, UNCOUNTED, OutcomeName
from kmon.stream.state import State
from kmon.tui.board_columns import COLUMNS, BoardColumns
from kmon.tui.board_drawing import sign
from kmon.tui.keymap import KEYS, Key, bindings, help_lines
from kmon.tui.screen import PageScreen
from kmon.tui.status_text import MEANINGS, state_word, symbol
from kmon.tui.text_wrap import ASCII_GUTTERS, GUTTERS

MEANING_WIDTH = 52
"""Cells of a meaning beside its word, so that the page fits 80 columns."""

WORDS: tuple[tuple[str, str], ...] = (
    ("gap", "time between two tokens; an open gap has not ended yet"),
    ("stall", "a gap over the threshold, open or closed; --stall auto learns it per target and phase"),
    ("this long", "how many earlier silences of the target that lasted as long as the open one ended; from 20 on"),
    ("alert", "a target's health crossed a threshold: its streams, in the zoom under gaps"),
    ("max", "the longest gap so far, the open one included"),
    ("ttft", "time from request sent to the first token, reasoning counts"),
    ("again in", "the policy makes another attempt then; x calls it off"),
    ("keep-alive", "a sign of life that is not a token"),
    ("claims", "what an ordinary client would show at this moment"),
    ("TUI", "what the chat program of a gateway shows; below it, on which side its run hangs, or hung"),
    ("signature", "the named fault of an attempt, with its evidence"),
    ("blame", "whose an open silence is: us, a proxy's client, the path, beyond it, the provider; see the zoom"),
    ("lag", "how late the engine's own clock was, at worst"),
)


class HelpScreen(PageScreen[None], ModalScreen[None]):
    """Any of the usual keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    def __init__(self, ascii: bool) -> None:
        super().__init__(help_content(ascii=ascii), id="help-screen", page_id="help", ascii=ascii)


def _outcome(name: OutcomeName) -> str:
    return f"{name.replace('-', ' ')}, not counted" if name in UNCOUNTED else name.replace("-", " ")


def isolation_lines(*, ascii: bool) -> list[tuple[str, str]]:
    """What the factors of ``kmon isolate`` show."""
    bar = "..==o==." if ascii else "··━━●━━·"
    return [
        ("as reported", "requests in which the factor is as in the request that fails, and how many failed"),
        ("changed", "the same for requests without it"),
        (bar, "the rate from 0 to 100 % with its exact interval (95 %)"),
        ("cause", "how probable it is that the factor is the cause, or a part of it"),
        ("-tools -stream", "a request with these changes: no tools, the answer in one piece"),
        ("parts 1-3 7", "with --shrink: a request with these of its parts and no others"),
    ]


def help_content(*, ascii: bool, keys: Sequence[Key] = KEYS, columns: BoardColumns = COLUMNS) -> Content:
    """The whole page."""
    parts: list[str | tuple[str, str]] = []

    def section(title: str, lines: list[tuple[str, str]]) -> None:
        parts.append((f"{title}\n", "bold $primary"))
        for word, meaning in lines:
            first, *further = textwrap.wrap(meaning, MEANING_WIDTH)
            parts.append((f"  {word:<15} ", "bold"))
            parts.append("".join([f"{first}\n", *(f"{'':<18}{line}\n" for line in further)]))
        parts.append("\n")

    section("Keys", [(line.keys, line.text) for line in help_lines(keys)])
    states: tuple[State, ...] = get_args(State)
    section("States", [(f"{symbol(s, ascii=ascii)} {state_word(s)}", MEANINGS[s]) for s in states])
    outcomes = [(f"{sign(name, ascii=ascii):<2} {SIGNS[name].label.lower()}", _outcome(name)) for name in SIGNS]
    shown = [(column.title, column.help) for column in (*columns.beside, *columns.wide)]
    section("Board", [*outcomes, ("[ ]", "the run in focus; a number is its silence in seconds"), *shown])
    section("Isolation", isolation_lines(ascii=ascii))
    gutters = ASCII_GUTTERS if ascii else GUTTERS
    section("Token flow", [("no mark", "text"), (gutters["reasoning"], "reasoning"), (gutters["tool"], "a tool call")])
    scale = "one column per second, the worst gap in it, from 50 ms (low) to 60 s (full), always this scale"
    section("Gaps", [("columns", scale)])
    section("Words", list(WORDS))
    return Content.assemble(*parts)
