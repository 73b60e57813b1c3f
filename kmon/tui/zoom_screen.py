"""One run over the whole screen, in three tabs: flow, gaps, raw chunks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Click

from kmon.format import plural
from kmon.stream.attempt_view import AttemptView, RawChunk
from kmon.stream.state import ENDED, ObservedState
from kmon.stream.timeline import S
from kmon.stream.view import RunView
from kmon.tui import status_text
from kmon.tui.keymap import bindings
from kmon.tui.line_widget import LineWidget
from kmon.tui.pane_drawing import Look
from kmon.tui.row_view import RowView
from kmon.tui.screen import LiveScreen
from kmon.tui.shown_race import ShownRace
from kmon.tui.spans import Span, Spans, one_line, row_width, shorten, spread
from kmon.tui.zoom_flow import FlowRows
from kmon.tui.zoom_gaps import gap_rows

TABS = ("Flow", "Gaps", "Raw")
GAPS_EVERY_NS = 500_000_000


class ZoomScreen(LiveScreen):
    """The zoomed run."""

    SCOPE = "zoom"
    BINDINGS: ClassVar[list[BindingType]] = bindings("zoom")

    def __init__(self, shown: ShownRace, run_id: str, order: Sequence[str]) -> None:
        """``order`` are the ids of the runs that the digit keys choose."""
        super().__init__(shown, id="zoom")
        styles = shown.styles
        self.run_id = run_id
        self.order = order
        self.tab = 0
        self.look = Look(ascii=shown.options.ascii)
        self.tab_line = LineWidget(styles, id="tabs", classes="line")
        self.views = (
            RowView(styles, id="flow", follow=True),
            RowView(styles, id="gaps", follow=False),
            RowView(styles, id="raw", follow=True),
        )
        self._flow = FlowRows(self.look)
        self._raw = RawRows()
        self._gaps_ns: int | None = None

    def compose(self) -> ComposeResult:
        yield self.header_line
        yield self.tab_line
        yield from self.views
        yield self.status_line
        yield self.hint_line

    def on_mount(self) -> None:
        self._activate(0)

    @property
    def current(self) -> RunView | None:
        """The run that keys act on."""
        return self.shown.race.runs.get(self.run_id)

    @property
    def view(self) -> RowView:
        return self.views[self.tab]

    def draw(self, now_ns: int) -> None:
        """Draw one frame as of ``now_ns``."""
        run = self.current
        room = self.view.room
        if run is None or room <= 0:  # gone, or not laid out yet
            return
        shown = self.shown
        seen = shown.standings.of(run)
        if self.tab == 0:
            self._flow.follow(run, room, now_ns)
            self.view.show(self._flow)
        elif self.tab == 1:
            if self._gaps_ns is None or abs(now_ns - self._gaps_ns) >= GAPS_EVERY_NS:
                self._gaps_ns = now_ns
                self.view.show(gap_rows(run, room, now_ns, self.look, shown.race.targets.get(run.asked)))
        else:
            self._raw.follow(run, room)
            self.view.show(self._raw)
        self.draw_header(shown.standings.states, now_ns)
        self.tab_line.update([self._tabs(run, seen, now_ns, self.size.width)])
        self.status_line.update([self.status_bar(shown.status(run, now_ns))])
        self.draw_hints("zoom")
        self.set_class(self.size.height < 10, "-short")

    def _tabs(self, run: RunView, seen: ObservedState, now_ns: int, width: int) -> Spans:
        row: Spans = ()
        for index, name in enumerate(TABS):
            text = f"[{name}]" if index == self.tab else f" {name} "
            row = (*row, Span(text, "tab.active" if index == self.tab else "tab"))
        following = "following" if self.view.follow else "scrolled back: space or End follows"
        if self.tab != 1:
            row = (*row, Span(f"  {following}", "muted" if self.view.follow else "frozen"))
        lost = self.shown.lost
        standing = status_text.standing(run, seen, now_ns, ascii=self.look.ascii, lost=lost)
        state = Span(f" {standing} ", "muted" if lost and seen.state not in ENDED else f"state.{seen.state}")
        right: Spans = (state,)
        legend = Span("  arrival, since the last chunk, kind", "muted")
        if self.tab == 2 and row_width((*row, legend, state)) < width:
            row = (*row, legend)
        whole = run.label if run.label.startswith(run.target) else f"{run.target} {run.label}"
        for who in (run.target, whole):
            longer = (Span(f" {one_line(who)} ", "title"), state)
            if row_width(row) + row_width(longer) < width:
                right = longer
        return spread(row, right, width)

    def redraw(self) -> None:
        self._gaps_ns = None
        super().redraw()

    def _activate(self, tab: int) -> None:
        self.tab = tab
        for index, view in enumerate(self.views):
            view.set_class(index == tab, "-active")
        self.set_focus(self.view)
        self.call_after_refresh(self.redraw)

    def action_turn(self, by: int) -> None:
        self._activate((self.tab + by) % len(TABS))

    def action_follow(self) -> None:
        self.view.set_follow(not self.view.follow)
        self.shown.redraw()

    def action_choose(self, number: int) -> None:
        """Zoom into another run without going back."""
        if number <= len(self.order):
            self.run_id = self.order[number - 1]
            self._flow = FlowRows(self.look)
            self._raw = RawRows()
            self.redraw()

    def on_click(self, event: Click) -> None:
        if event.widget is self.tab_line:
            edge = 0
            for index, name in enumerate(TABS):
                edge += len(name) + 2
                if event.x < edge:
                    self._activate(index)
                    return


class RawRows:
    """One row per kept chunk of the deciding attempt; made when looked at."""

    def __init__(self) -> None:
        self._chunks: deque[RawChunk] | tuple[RawChunk, ...] = ()
        self._dropped = 0
        self._start_ns = 0
        self._stall_ns = 5 * S
        self._width = 80

    def follow(self, run: RunView, width: int) -> None:
        attempt: AttemptView | None = run.main
        self._width = width
        if attempt is not None:
            self._chunks, self._dropped = attempt.raw, attempt.raw_dropped
            self._start_ns, self._stall_ns = (
                attempt.timeline.t_start,
                attempt.timeline.threshold_ns(attempt.timeline.answer_phase()),
            )

    def __len__(self) -> int:
        return len(self._chunks) + bool(self._dropped)

    def row(self, index: int) -> Spans:
        if self._dropped:
            if index == 0:
                return (Span(f"({plural(self._dropped, 'chunk')} before this let go)", "muted"),)
            index -= 1
        chunk = self._chunks[index]
        late = chunk.gap_ns >= self._stall_ns
        head = f"{(chunk.t_ns - self._start_ns) / S:9.3f} s {chunk.gap_ns / S:+8.3f} s  "
        kind_style = {"reasoning": "reasoning", "tool": "tool", "error": "error"}.get(chunk.kind, "text")
        return (
            Span(head, "gap.stall" if late else "muted"),
            Span(f"{chunk.kind:<10}", kind_style),
            Span(shorten(one_line(chunk.raw), max(4, self._width - len(head) - 10)), "text"),
        )
