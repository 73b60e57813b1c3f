"""Where an answer ends: the deltas of one answer, without what follows its terminal event.

Text after ``[DONE]`` is no part of an answer: the official SDKs stop reading there. A failure that a server reports
after it, or a token count, is still about the answer. Of the other dialects, nothing follows the last event.
"""

from __future__ import annotations

from kmon.dialects.delta import Delta
from kmon.dialects.dialect import WireFormat


class OneAnswer:
    """A :class:`kmon.dialects.dialect.Decoder` of one answer of a format."""

    def __init__(self, spoken: WireFormat) -> None:
        self._decoder = spoken.decoder()
        self._final = spoken.final
        self._ended = False

    def feed(self, data: bytes) -> list[Delta]:
        return self._within(self._decoder.feed(data))

    def end(self) -> list[Delta]:
        return self._within(self._decoder.end())

    def _within(self, deltas: list[Delta]) -> list[Delta]:
        if not self._ended and not any(delta.done for delta in deltas):
            return deltas
        kept: list[Delta] = []
        for delta in deltas:
            if not self._ended:
                kept.append(delta)
                self._ended = delta.done
            elif not self._final and (told := _told_after(delta)) is not None:
                kept.append(told)
        return kept


def _told_after(delta: Delta) -> Delta | None:
    """What ``delta``, which follows the terminal event, still tells about the answer; None without anything."""
    reported = delta.error is not None and delta.error.kind == "in-stream"
    error = delta.error if reported else None  # a frame that cannot be read is none that a client reads here
    if error is None and delta.usage is None:
        return None
    return Delta(error=error, usage=delta.usage, chunk=delta.chunk, raw=delta.raw)
