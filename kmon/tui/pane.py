"""The widget of one run. It keeps the wrapped output between frames and is drawn by its owner."""

from __future__ import annotations

from textual import events
from textual.message import Message

from kmon.stream.attempt_view import AttemptView
from kmon.stream.state import ENDED, ObservedState
from kmon.stream.view import RunView
from kmon.tui.line_widget import LineWidget, Styles
from kmon.tui.pane_drawing import NO_NOTES, Flow, Look, Notes, draw_pane
from kmon.tui.spans import Span, Spans
from kmon.tui.text_wrap import TextWrap

_HEAVY = str.maketrans("╭─╮│╰╯+-|", "┏━┓┃┗┛#=#")


class Pane(LineWidget, can_focus=True):
    """One run. The owner calls :meth:`draw` once per frame; focus only changes the border."""

    class Chosen(Message):
        """The pane was double-clicked."""

        def __init__(self, run_id: str) -> None:
            super().__init__()
            self.run_id = run_id

    def __init__(self, run: RunView, styles: Styles, look: Look) -> None:
        super().__init__(styles)
        self.run = run
        self.look = look
        self.observation: ObservedState | None = None
        self._now_ns = 0
        self._notes = NO_NOTES
        self._tails: dict[int, TextWrap] = {}
        self._tail_size = (0, 0)
        self._drawn: tuple[object, ...] = ()

    def adopt(self, run: RunView) -> None:
        """Be the pane of another run from now on."""
        self.run = run
        self._tails.clear()
        self._drawn = ()

    def draw(self, run: RunView, seen: ObservedState, now_ns: int, look: Look, notes: Notes = NO_NOTES) -> None:
        """Draw the run as it stands at ``now_ns``, if anything about it can have changed. It may be another run."""
        if run.run != self.run.run:
            self._tails.clear()
        self.run, self.observation, self.look = run, seen, look
        self._now_ns, self._notes = now_ns, notes
        width, height = self.size
        if width == 0 or height == 0:
            return
        revisions = [a.revision for a in run.attempts]
        state = (run.run, width, height, look, seen, notes.trouble, run.nudge_sentence, *revisions)
        settled = seen.state in ENDED and (run.nudge is None or run.nudge.ending is not None)
        if settled and state == self._drawn:
            return
        self._drawn = state
        flow = self._flow(run, width - 4, height - 2, seen)
        self.update(draw_pane(run, seen, flow, width, height, now_ns, look, notes))

    def _flow(self, run: RunView, width: int, height: int, seen: ObservedState) -> Flow:
        if self._tail_size != (width, height):
            self._tail_size = (width, height)
            self._tails.clear()
        main, nudge = run.main, run.nudge
        wanted = {a.number for a in (main, nudge) if a is not None}
        for number in [n for n in self._tails if n not in wanted]:
            del self._tails[number]
        cursor = self.look.cursor if main is not None and main.revision and seen.state not in ENDED else ""
        return Flow(
            self._tail(main, cursor, width, height) if main is not None else (),
            self._tail(nudge, "", width, height) if nudge is not None else (),
        )

    def _tail(self, attempt: AttemptView, cursor: str, width: int, height: int) -> list[Spans]:
        wrapped = self._tails.get(attempt.number)
        if wrapped is None:
            wrapped = self._tails[attempt.number] = TextWrap(width, max(4, height), ascii=self.look.ascii)
        wrapped.follow(attempt)
        return wrapped.tail(max(1, height), cursor)

    def decorate(self, row: Spans) -> Spans:
        if not self.has_focus:
            return row
        return tuple(
            Span(span.text.translate(_HEAVY), "border.focus") if span.style == "border" else span for span in row
        )

    def on_resize(self) -> None:
        if self.observation is not None:
            self.draw(self.run, self.observation, self._now_ns, self.look, self._notes)

    def watch_has_focus(self, _has_focus: bool) -> None:
        super().watch_has_focus(_has_focus)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2:
            self.post_message(self.Chosen(self.run.run))
