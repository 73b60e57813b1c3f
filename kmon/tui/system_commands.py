"""What the command palette offers besides Textual's own way to find it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.app import SystemCommand
from textual.screen import Screen

from kmon.tui.board_screen import BoardScreen
from kmon.tui.race_screen import RaceScreen

if TYPE_CHECKING:
    from kmon.tui.app import KmonApp

PALETTE_GONE_S = 0.1


def system_commands(app: KmonApp, screen: Screen[Any]) -> Iterator[SystemCommand]:
    """Everything that keys do, by name, as far as ``screen`` can do it."""
    yield SystemCommand("Nudge", "Ask the run in focus: are you still there?", partial(app.action_command, "nudge"))
    yield SystemCommand("Cancel", "Close the stream of the run in focus", partial(app.action_command, "cancel"))
    yield SystemCommand("Retry", "A new attempt of the run in focus", partial(app.action_command, "retry"))
    yield SystemCommand("Cancel all", "Close every open stream", app.action_cancel_all)
    yield SystemCommand("Retry all", "A new attempt of every run that did not end well", app.action_retry_all)
    yield SystemCommand("Freeze or go on", "Hold the view still; the race goes on", app.action_freeze)
    if isinstance(screen, RaceScreen | BoardScreen):
        yield SystemCommand("Zoom", "Flow, gaps and raw chunks of the run in focus", screen.action_zoom)
    if isinstance(screen, RaceScreen):
        yield SystemCommand("Board", "Every run as a cell, round by round", app.action_toggle_board)
        yield SystemCommand("Filter", "Show only some panes", screen.action_filter)
        yield SystemCommand("Sort", "Next order of the panes", screen.action_sort)
    if isinstance(screen, BoardScreen):
        yield SystemCommand("Panes", "The live panes", app.action_toggle_board)
    yield SystemCommand("Copy", "The output of the run in focus, to the clipboard", app.action_copy)
    screenshot_later = partial(app.set_timer, PALETTE_GONE_S, app.action_screenshot)
    yield SystemCommand("Screenshot", "An SVG picture in the current directory", screenshot_later)
    yield SystemCommand("Start anew", "Show the plan, then run it again", app.action_start_anew)
    for name in app.themes.palettes:
        yield SystemCommand(f"Theme {name}", "Change the colours", partial(app.use_theme, name))
    yield SystemCommand("Help", "Keys, symbols and words", app.action_help)
    yield SystemCommand("Quit", "Close all streams and leave", app.action_quit)
