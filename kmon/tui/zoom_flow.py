"""The zoomed flow: the whole kept output of every attempt, one below the other."""

from __future__ import annotations

from kmon.engine.nudge import FOLLOW_UP
from kmon.format import count, seconds
from kmon.stream.attempt_view import AttemptView
from kmon.stream.state import shown_claim
from kmon.stream.view import RunView
from kmon.tui import status_text
from kmon.tui.pane_drawing import Look, both_sides
from kmon.tui.spans import Span, Spans, one_line, wrap
from kmon.tui.text_wrap import TextWrap

LIMIT_ROWS = 20_000
CLAIM_ROWS = 7


class _Block:
    """One attempt: a heading, its flow, and how it ended."""

    def __init__(self, width: int, look: Look) -> None:
        self.wrapped = TextWrap(width, LIMIT_ROWS, ascii=look.ascii)
        self.head: list[Spans] = []
        self.tail: list[Spans] = []

    def __len__(self) -> int:
        return len(self.head) + len(self.wrapped.rows) + len(self.tail)

    def row(self, index: int) -> Spans:
        for part in (self.head, self.wrapped.rows, self.tail):
            if index < len(part):
                return part[index]
            index -= len(part)
        return ()


class FlowRows:
    """Rows of all attempts. :meth:`follow` wraps only what is new, unless the width changed."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self._width = 0
        self._blocks: dict[int, _Block] = {}

    def follow(self, run: RunView, width: int, now_ns: int) -> None:
        if width != self._width:
            self._width = width
            self._blocks.clear()
        for attempt in run.attempts:
            block = self._blocks.get(attempt.number)
            if block is None:
                block = self._blocks[attempt.number] = _Block(width, self.look)
            block.wrapped.follow(attempt)
            block.head = [_heading(run, attempt, width, self.look)]
            if attempt.segments_dropped:
                gone = f"({count(attempt.segments_dropped)} characters before this were let go)"
                block.head.append((Span(gone, "muted"),))
            cursor = self.look.cursor if attempt.ending is None and attempt.revision else ""
            claimed = attempt is run.main and attempt.claim is not None
            # The tail starts with the row that is still being written, which the wrapper does not list yet.
            open_row = block.wrapped.tail(1, cursor) if block.wrapped.open_text or cursor else []
            block.tail = [
                *open_row,
                *_ending(run, attempt, width, now_ns),
                *(both_sides(run, shown_claim(attempt, now_ns), width, CLAIM_ROWS) if claimed else ()),
                (),
            ]

    def __len__(self) -> int:
        return sum(len(block) for block in self._blocks.values())

    def row(self, index: int) -> Spans:
        for block in self._blocks.values():
            if index < len(block):
                return block.row(index)
            index -= len(block)
        return ()


def _heading(run: RunView, attempt: AttemptView, width: int, look: Look) -> Spans:
    line = "-" if look.ascii else "─"
    what = f"nudge: {FOLLOW_UP}" if attempt.role == "nudge" else status_text.attempt_name(run, attempt)
    text = f"{line * 2} {what}  {one_line(attempt.url)} "
    return (Span(text + line * max(0, width - len(text)), "nudge" if attempt.role == "nudge" else "title.dim"),)


def _ending(run: RunView, attempt: AttemptView, width: int, now_ns: int) -> list[Spans]:
    rows: list[Spans] = []
    if attempt.ending is not None:
        good = attempt.ending == "done"
        parts: list[str] = [attempt.ending]
        if attempt.finish_reason:
            parts.append(f"finish {attempt.finish_reason}")
        if (attempt.signature or attempt.error) and (why := status_text.failure(attempt)):
            parts.append(why)
        parts.append(seconds(attempt.timeline.duration_ns(now_ns)))
        style = f"state.{attempt.ending}" if not good else "state.done"
        rows += [(Span(text, style),) for text in wrap(", ".join(parts), width, 6)]
    if attempt.role == "nudge" and run.nudge is attempt and run.nudge_sentence:
        rows += [(Span(text, "nudge"),) for text in wrap(run.nudge_sentence, width, 2)]
    return rows
