"""Server-sent events to deltas: of the dialects whose data is JSON, and of a dialect that kmon does not know.

In the known dialects a comment is a keep-alive; ``[DONE]`` is the terminal event wherever it comes; a frame that cannot
be read is an error with its text kept, and decoding continues. An event that says nothing in its dialect may report an
error in another form, and so may lines between the events (``sse_strays.py``). In an unknown dialect an event is a
chunk and a comment is a keep-alive; nothing is progress, a finish or an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec import structs

from kmon.dialects.bounds import FRAME_LIMIT_CHARS, NAME_LIMIT_CHARS, bounded, frame_text
from kmon.dialects.delta import Delta
from kmon.dialects.error_words import page_words, reported
from kmon.dialects.fault import CUT_INSIDE, fault, fault_of_text, malformed
from kmon.dialects.framing import EVENT_STREAM_TYPE, SSE_TYPE
from kmon.dialects.json_access import parsed
from kmon.dialects.sse import ERROR_NAME, EVENT_LIMIT_BYTES, Comment, Event, Item, Overflow, SSEDecoder, Stray
from kmon.dialects.sse_strays import StrayLines, certain_error, is_cut_field, json_of, spoiled_field, whole_answer_error
from kmon.dialects.unread_dialects import unread_name

DONE = b"[DONE]"
EVENTS_LOOKED_AT = 20
"""How many events of an unknown dialect are parsed to find its name."""
WORDS_LIMIT_CHARS = 200
"""Data that is no JSON, as it is quoted in the message."""

_JSON = re.compile(rb'\s*(?:\{|\[\s*[\[\]{"\d-])')
"""How JSON begins, and words in brackets do not: ``[ERROR] timed out``."""

Interpret = Callable[[dict[str, Any], str, str], Delta]
"""A data object, its text as evidence (``Delta.raw``) and the SSE event name to a delta."""
STREAMED = frozenset({
    SSE_TYPE, EVENT_STREAM_TYPE, "application/x-ndjson", "application/ndjson", "application/jsonl",
    "application/x-jsonlines", "application/jsonlines", "application/json-seq", "application/stream+json",
    "application/grpc", "application/grpc-web", "application/grpc-web+proto", "application/connect+json",
    "application/connect+proto", "multipart/x-mixed-replace",
})  # fmt: skip
"""Content types of streamed answers; with any other the answer may be whole."""


class JSONEventsDecoder:
    """SSE bytes to deltas, with ``interpret`` for every data object."""

    def __init__(self, interpret: Interpret) -> None:
        self._sse = SSEDecoder()
        self._interpret = interpret
        self._strays = StrayLines()
        self._words = ""
        """Plain words between the events since the last output: a failure if nothing else tells the end."""
        self._finished = self._began = False
        self._undecided = False
        """Whether there are stray lines or words, so that what follows decides what they are."""

    def feed(self, data: bytes) -> list[Delta]:
        deltas: list[Delta] = []
        for item in self._sse.feed(data):
            if self._undecided or not isinstance(item, Event):
                self._take(item, deltas)
                self._undecided = bool(self._strays or self._words)
                continue
            self._began = True
            delta = self._event(item)
            if delta.finish_reason is not None or delta.done:
                self._finished = True
            deltas.append(delta)
        return deltas

    def end(self) -> list[Delta]:
        deltas: list[Delta] = []
        cut = None
        for item in self._sse.end():
            if isinstance(item, Stray) and is_cut_field(item.line):
                cut = cut_inside(frame_text(item.line))
            else:
                self._take(item, deltas)
        self._flush(deltas)
        if self._words and not self._finished:
            deltas.append(self._failure(self._words))
        return deltas if cut is None else [*deltas, cut]

    def _take(self, item: Item, deltas: list[Delta]) -> None:
        if isinstance(item, Stray) and not self._strays and spoiled_field(item.line):
            raw = frame_text(item.line)
            said = f"a line that clients do not read as data: {bounded(raw, WORDS_LIMIT_CHARS)}"
            deltas.append(Delta(error=malformed(said, raw), raw=raw))
            return
        if isinstance(item, Stray):
            self._strays.add(item.line)
            if self._strays.closed() and (found := self._told(self._strays.text())) is not None:
                self._strays.take()
                deltas.append(found)
            return
        if self._strays:
            self._flush(deltas)
        delta = self._delta(item)
        if delta.finish_reason is not None:
            self._finished = True
        if self._words and (delta.done or delta.progress):
            if delta.done and not self._finished:
                deltas.append(self._failure(self._words))
            self._words = ""
        if delta.done:
            self._finished = True
        deltas.append(delta)

    def _flush(self, deltas: list[Delta]) -> None:
        """Decide what the stray lines are, now that something else follows."""
        text = self._strays.take()
        if (found := self._told(text)) is not None:
            deltas.append(found)
        elif text.strip():
            self._words = text

    def _told(self, text: str) -> Delta | None:
        """The delta of stray lines that certainly report an error."""
        error = certain_error(text)
        if error is None and isinstance(value := json_of(text), dict):
            error = self._interpret(value, text, "").error
        return None if error is None else Delta(error=error, raw=bounded(text, FRAME_LIMIT_CHARS))

    def _failure(self, text: str) -> Delta:
        error = fault_of_text(text, frame=text) if self._began else whole_answer_error(text)
        return Delta(error=error, raw=bounded(text, FRAME_LIMIT_CHARS))

    def _delta(self, item: Event | Comment | Overflow) -> Delta:
        if isinstance(item, Event):
            self._began = True
            return self._event(item)
        if isinstance(item, Comment):
            return Delta(keepalive=True, chunk=False, raw=frame_text(item.line))
        raw = frame_text(item.start)
        return Delta(error=malformed(f"an event over {EVENT_LIMIT_BYTES // 2**20} MiB was skipped", raw), raw=raw)

    def _event(self, event: Event) -> Delta:
        data = event.data
        if data.startswith(DONE):
            return Delta(done=True, chunk=False, raw=frame_text(data))
        raw = frame_text(data)
        try:
            value = parsed(data)
        except ValueError:
            return _unreadable(event, raw)
        if not isinstance(value, dict):
            cause = reported(value)
            if cause is None and event.name != ERROR_NAME:
                return Delta(error=malformed(f"no JSON object: {bounded(raw, WORDS_LIMIT_CHARS)}", raw), raw=raw)
            cause = value if cause is None else cause
            return Delta(error=fault(cause, frame=raw), raw=raw)
        delta = self._interpret(value, raw, event.name)
        if delta.text or delta.error is not None or not _says_nothing(delta):
            return delta
        cause = reported(value, event.name)
        return delta if cause is None else structs.replace(delta, error=fault(cause, frame=raw))


def _says_nothing(delta: Delta) -> bool:
    told = delta.media or delta.server_tools or delta.hidden_work or delta.refusal or delta.done
    return delta.kind == "other" and not told


def _unreadable(event: Event, raw: str) -> Delta:
    """The delta of an event whose data is no JSON."""
    data = event.data
    if event.name == ERROR_NAME or page_words(raw) is not None:
        return Delta(error=fault_of_text(raw, frame=raw), raw=raw)
    if not data.strip():
        return Delta(keepalive=True, chunk=False, raw=raw)
    first, more, _ = data.partition(b"\n")
    if more and (first.startswith(DONE) or isinstance(json_of(first.decode("utf-8", "replace")), dict)):
        return Delta(error=malformed("events that are not separated by a blank line", raw), raw=raw)
    if not event.complete and data.lstrip()[:1] == b"{":
        return cut_inside(raw)
    said = "invalid JSON" if _JSON.match(data) else f"no JSON: {bounded(raw, WORDS_LIMIT_CHARS)}"
    return Delta(error=malformed(said, raw), raw=raw)


def cut_inside(raw: str) -> Delta:
    """The delta of a frame in which the body ended; ``raw`` is how it begins."""
    return Delta(error=malformed(CUT_INSIDE, raw), cut=True, raw=raw)


class PlainDecoder:
    """Server-sent events to deltas that hold only a description (``Delta.raw``): event name and size.

    The content is not shown, because keys in an unknown format cannot be found and removed. ``dialect`` is the name of
    a dialect that kmon recognises and does not read, once one of the first events shows it; else "".
    """

    def __init__(self) -> None:
        self._sse = SSEDecoder()
        self.dialect = ""
        self._looked_at = 0

    def feed(self, data: bytes) -> list[Delta]:
        items = self._sse.feed(data)
        for item in items:
            if not self.dialect and isinstance(item, Event) and self._looked_at < EVENTS_LOOKED_AT:
                self._looked_at += 1
                self.dialect = _recognised(item.data)
        return [delta for item in items if (delta := _delta(item)) is not None]

    def end(self) -> list[Delta]:
        """No delta: the transport reports a body that was cut."""
        return []


def _recognised(data: bytes) -> str:
    try:
        value = parsed(data)
    except ValueError:
        return ""
    return (unread_name(value) if isinstance(value, dict) else None) or ""


def _delta(item: Item) -> Delta | None:
    if isinstance(item, Event):
        return Delta(raw=f"{bounded(item.name or 'message', NAME_LIMIT_CHARS)}, {len(item.data)} bytes")
    if isinstance(item, Comment):
        return Delta(keepalive=True, chunk=False, raw=f"comment, {len(item.line)} bytes")
    return None
