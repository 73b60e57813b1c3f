"""The keys of the screen, each declared once.

The bindings of every screen, the line of hints at the bottom, the help page and the command palette read :data:`KEYS`.
A new key is one entry here and one ``action_*`` method.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Literal, NamedTuple

from textual.binding import Binding, BindingType

from kmon.engine.api import Action
from kmon.tui.ordering import SORTS

Scope = Literal["app", "race", "board", "isolation", "zoom", "view", "filter", "plan", "help"]
"""Where a key is valid: ``app`` is every screen, ``view`` a scrolling list, ``filter`` the input line of the filter."""
View = Literal["race", "panes", "zoom", "board", "concluded", "isolation"]
"""What a line of hints belongs to: ``panes`` are those of a test, which has a board; ``concluded`` is a board with its
conclusion below."""

RACE: tuple[View, ...] = ("race", "panes")
BOARD: tuple[View, ...] = ("board", "concluded")
OVERVIEW: tuple[View, ...] = (*BOARD, "isolation")
ALL: tuple[View, ...] = (*RACE, "zoom", *OVERVIEW)
LIVE: tuple[View, ...] = (*RACE, "zoom", "board", "isolation")
"""Views in which runs may still be open."""
FIRST_TO_GO = 13


class Hint(NamedTuple):
    """A key in the line of hints.

    ``rank`` says which hints go first where there is no room: those with the highest. A hint that ``leads`` stands
    before the others.
    """

    key: str
    word: str
    views: tuple[View, ...]
    rank: int = FIRST_TO_GO
    leads: bool = False


class HelpLine(NamedTuple):
    """A line of the help page. ``keys`` may name further keys of the table, which have no line of their own."""

    keys: str
    text: str


class Key(NamedTuple):
    """One key.

    ``keys`` are Textual's names, separated by commas; ``action`` is Textual's action string, looked up on the screen
    of ``scope``. ``label`` names the action in the palette, where ``palette`` is the sentence beside it; without one
    the palette leaves it out. ``command`` is what the engine is told, so that it can be left out where that is
    impossible. ``priority`` keys work while something else has the focus.
    """

    id: str
    keys: str
    action: str
    label: str
    hint: Hint | None = None
    help: HelpLine | None = None
    palette: str = ""
    command: Action | None = None
    priority: bool = False

    @property
    def scope(self) -> str:
        """The part of the id before its dot: a :data:`Scope`."""
        return self.id.partition(".")[0]


def _numbers(scope: Scope, action: str, what: str) -> tuple[Key, ...]:
    return tuple(Key(f"{scope}.{what}-{n}", str(n), f"{action}({n})", f"{what.capitalize()} {n}") for n in range(1, 10))


KEYS: tuple[Key, ...] = (
    Key("app.nudge", "n", "command('nudge')", "Nudge", Hint("n", "nudge", LIVE, 6),
        HelpLine("n", "nudge: ask 'are you still there?' while the first answer stays open"),
        "Ask the run in focus: are you still there?", "nudge"),
    Key("app.cancel", "x", "command('cancel')", "Cancel", Hint("x", "cancel", LIVE, 8),
        HelpLine("x  X", "cancel this run, cancel all: closes the socket at once"),
        "Close the stream of the run in focus", "cancel"),
    Key("app.cancel-all", "X", "cancel_all", "Cancel all", palette="Close every open stream", command="cancel"),
    Key("app.retry", "r", "command('retry')", "Retry", Hint("r", "retry", ALL, 7),
        HelpLine("r  R", "retry this run (a waiting one: now), all that did not end well"),
        "A new attempt of the run in focus", "retry"),
    Key("app.retry-all", "R", "retry_all", "Retry all", Hint("R", "retry all", (*RACE, *BOARD)),
        palette="A new attempt of every run that did not end well", command="retry"),
    Key("race.up", "up", "move(0, -1)", "Up",
        help=HelpLine("arrows tab 1-9", "move the focus; a click does, too")),
    Key("race.down", "down", "move(0, 1)", "Down"),
    Key("race.left", "left", "move(-1, 0)", "Left"),
    Key("race.right", "right", "move(1, 0)", "Right"),
    Key("race.next", "tab", "step(1)", "Next"),
    Key("race.previous", "shift+tab", "step(-1)", "Previous"),
    *_numbers("race", "choose", "pane"),
    Key("board.up", "up", "move(-1, 0)", "Up"),
    Key("board.down", "down", "move(1, 0)", "Down"),
    Key("board.left", "left", "move(0, -1)", "Left"),
    Key("board.right", "right", "move(0, 1)", "Right"),
    Key("board.first", "home", "to_round(1)", "First round"),
    Key("board.newest", "end", "to_newest", "Newest round"),
    Key("isolation.up", "up", "move(-1)", "Up"),
    Key("isolation.down", "down", "move(1)", "Down"),
    Key("isolation.newest", "home,end", "to_newest", "Newest request"),
    Key("isolation.zoom", "enter,z", "app.zoom", "Zoom",
        palette="Flow, gaps and raw chunks of the run in focus"),
    Key("isolation.panes", "b,tab,shift+tab", "app.toggle_board", "Panes", palette="The live panes"),
    *_numbers("board", "to_row", "row"),
    *_numbers("zoom", "choose", "run"),
    Key("race.zoom", "enter,z", "app.zoom", "Zoom", Hint("z", "zoom", RACE, 9),
        HelpLine("z Enter", "zoom: flow, gaps, raw chunks; Esc or z goes back"),
        "Flow, gaps and raw chunks of the run in focus"),
    Key("board.zoom", "enter,z", "app.zoom", "Zoom", Hint("enter", "zoom", OVERVIEW, 9, leads=True),
        palette="Flow, gaps and raw chunks of the run in focus"),
    Key("zoom.back", "escape,z,enter", "app.pop_screen", "Back", Hint("esc", "back", ("zoom",), 2, leads=True)),
    Key("zoom.next-tab", "right,tab", "turn(1)", "Next tab", Hint("←→", "tabs", ("zoom",), leads=True)),
    Key("zoom.previous-tab", "left,shift+tab", "turn(-1)", "Previous tab"),
    Key("race.board", "b", "app.toggle_board", "Board", Hint("b", "board", ("panes",), 4, leads=True),
        HelpLine("b", "the board: every run as a cell, round by round; b or tab goes back"),
        "Every run as a cell, round by round"),
    Key("board.panes", "b,tab,shift+tab", "app.toggle_board", "Panes", Hint("b", "panes", OVERVIEW, 3, leads=True),
        palette="The live panes"),
    Key("race.page-up", "pageup", "page(-1)", "Page up"),
    Key("race.page-down", "pagedown", "page(1)", "Page down"),
    Key("board.page-up", "pageup", "read(-1)", "Conclusion up",
        Hint("pgup pgdn", "read", ("concluded",), 5, leads=True),
        HelpLine("pgup pgdn", "below the board: read what the race has shown; shift+arrows move wide tables")),
    Key("board.page-down", "pagedown", "read(1)", "Conclusion down"),
    Key("board.tables-left", "shift+left", "sideways(-1)", "Tables left",
        Hint("shift+arrows", "tables", ("concluded",), leads=True)),
    Key("board.tables-right", "shift+right", "sideways(1)", "Tables right"),
    Key("zoom.follow", "space", "follow", "Follow", Hint("space", "follow", ("zoom",), leads=True),
        HelpLine("space", "in the zoom: follow the end, or stay")),
    Key("view.up", "up", "scroll_up", "Up"),
    Key("view.down", "down", "scroll_down", "Down"),
    Key("view.page-up", "pageup", "page_up", "Page up"),
    Key("view.page-down", "pagedown", "page_down", "Page down"),
    Key("view.home", "home", "scroll_home", "Start"),
    Key("view.end", "end", "scroll_end", "End"),
    Key("app.freeze", "p", "freeze", "Freeze or go on", Hint("p", "freeze", LIVE, 10),
        HelpLine("p", "freeze the view; the race goes on"), "Hold the view still; the race goes on"),
    Key("race.filter", "slash", "filter", "Filter", Hint("/", "filter", RACE, 11),
        HelpLine("/", "filter by state, target or scenario; Esc shows all"), "Show only some panes"),
    Key("race.clear-filter", "escape", "clear_filter", "Show all"),
    Key("filter.clear", "escape", "screen.clear_filter", "Show all"),
    Key("race.sort", "s", "sort", "Sort", Hint("s", "sort", RACE, 12),
        HelpLine("s", f"sort: {', '.join(SORTS)}"), "Next order of the panes"),
    Key("app.copy", "y", "copy", "Copy", Hint("y", "copy", ALL),
        HelpLine("y", "copy the output to the clipboard (OSC 52, works over ssh)"),
        "The output of the run in focus, to the clipboard"),
    Key("app.theme", "t", "next_theme", "Next theme", help=HelpLine("t", "next theme")),
    Key("app.screenshot", "ctrl+s", "screenshot", "Screenshot",
        help=HelpLine("ctrl+s", "SVG picture of the screen, in the current directory"),
        palette="An SVG picture in the current directory"),
    Key("app.start-anew", "ctrl+n", "start_anew", "Start anew",
        help=HelpLine("ctrl+n", "show the plan and start the race anew"), palette="Show the plan, then run it again"),
    Key("app.palette", "ctrl+p", "command_palette", "Commands", help=HelpLine("ctrl+p", "command palette"),
        priority=True),
    Key("app.suspend", "ctrl+z", "suspend_process", "Suspend",
        help=HelpLine("ctrl+z", "back to the shell; fg returns; the race goes on"), priority=True),
    Key("app.help", "question_mark,f1", "help", "Help", Hint("?", "help", ALL, 1),
        palette="Keys, symbols and words"),
    Key("app.quit", "q", "quit", "Quit", Hint("q", "quit", ALL, 0),
        HelpLine("q ctrl+c", "quit: closes all streams, then prints the summary"), "Close all streams and leave"),
    Key("app.quit-now", "ctrl+c,ctrl+q", "quit", "Quit", priority=True),
    Key("plan.start", "enter", "decide(True)", "Start"),
    Key("plan.leave", "escape", "decide(False)", "Leave"),
    Key("plan.quit", "q", "decide(False)", "Leave"),
    Key("help.close", "escape,q,question_mark,enter", "dismiss", "Close"),
)  # fmt: skip


def bindings(scope: Scope, keys: Sequence[Key] = KEYS) -> list[BindingType]:
    """The keys of one scope as Textual's bindings."""
    return [
        Binding(key.keys, key.action, key.label, id=key.id, priority=key.priority) for key in keys if key.scope == scope
    ]


def hints(view: View, impossible: Container[str] = (), keys: Sequence[Key] = KEYS) -> list[Hint]:
    """The line of hints of one view, those that lead first, without commands that are ``impossible`` here."""
    found = [key.hint for key in keys if key.hint and view in key.hint.views and key.command not in impossible]
    return sorted(found, key=lambda hint: not hint.leads)


def help_lines(keys: Sequence[Key] = KEYS) -> list[HelpLine]:
    """The keys on the help page."""
    return [key.help for key in keys if key.help is not None]


def palette_keys(scopes: Container[str], keys: Sequence[Key] = KEYS) -> list[Key]:
    """What the command palette offers in these scopes."""
    return [key for key in keys if key.palette and key.scope in scopes]
