"""A stream inside other text: pasted from a terminal or a report, indented, quoted, or with other lines in it.

A run of lines that all are lines of server-sent events is a stream if a dialect recognises an event in it. Runs of one
answer belong together: a log has lines of its own between the events, and a packet tool the sizes of chunks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from kmon.dialects.framing import SERVER_SENT_EVENTS
from kmon.dialects.json_access import text
from kmon.dialects.registry import wire_format
from kmon.recording.formats.curl_verbose import without_meter
from kmon.recording.formats.format import Format
from kmon.recording.formats.raw_stream import bodies
from kmon.recording.interaction import Interaction
from kmon.recording.sniff import recognised
from kmon.recording.source import Source

_LINE = re.compile(rb"[ \t>]*((?:data|event|id|retry):[^\r\n]*|:[^\r\n]*|)\r?\n?\Z")
_DATA = re.compile(rb"(?m)^[ \t>]*data:")
_SENTINEL = re.compile(rb"(?m)^data: *\[DONE\]")


def _looks_like(source: Source) -> bool:
    if source.is_binary:
        return False
    data = without_meter(source.data)
    return _DATA.search(data) is not None and any(run.dialect for run in _runs(data))


def _read(source: Source) -> list[Interaction]:
    found: list[Interaction] = []
    for answer in _joined(_runs(without_meter(source.data))):
        found += bodies(answer, first_index=len(found))
    return found


class _Run(Struct, frozen=True):
    """Lines of events that stand together. ``dialect`` is None if none of them is recognised."""

    body: bytes
    dialect: str | None
    opening: str = ""
    """The type of the first event, where events have types."""
    first_id: str | None = None
    last_id: str | None = None
    chunks: int = 0
    done: bool = False

    def goes_on(self, before: _Run) -> bool:
        """Whether this is more of the answer in ``before``, which came first."""
        if before.done or self.dialect not in (None, before.dialect):
            return False
        if self.dialect is None:
            return _SENTINEL.search(self.body) is not None
        if self.opening and self.opening == before.opening:
            return False
        same_id = self.first_id is None or self.first_id == before.last_id
        return same_id or (self.chunks == 1 and before.chunks == 1)  # some gateways give every chunk its own id


def _joined(runs: Iterator[_Run]) -> Iterator[bytes]:
    """The body of each answer."""
    answer, last = list[bytes](), None
    for run in runs:
        if last is not None and run.goes_on(last):
            answer.append(run.body)
            if run.dialect is not None:
                last = _Run(run.body, run.dialect, last.opening, run.first_id, run.last_id, run.chunks, run.done)
            continue
        if run.dialect is not None:
            if answer:
                yield b"".join(answer)
            answer, last = [run.body], run
    if answer:
        yield b"".join(answer)


def _runs(data: bytes) -> Iterator[_Run]:
    lines: list[bytes] = []
    for line in [*data.splitlines(keepends=True), b"end"]:
        if (found := _LINE.match(line)) is not None:
            lines.append(found[1] + b"\n")
            continue
        if any(one.strip() for one in lines):
            yield _run(b"".join(lines).strip(b"\n") + b"\n\n")
        lines = []


def _run(body: bytes) -> _Run:
    name = recognised(SERVER_SENT_EVENTS, body)
    spoken = None if name is None else wire_format(name)
    if spoken is None:
        return _Run(body, name)
    deltas = spoken.decoder().feed(body)
    ids = [delta.response_id for delta in deltas if delta.response_id is not None]
    opening = next((text(value.get("type")) for _, value in SERVER_SENT_EVENTS.events(body)), "")
    return _Run(
        body,
        name,
        opening,
        ids[0] if ids else None,
        ids[-1] if ids else None,
        sum(delta.chunk for delta in deltas),
        any(delta.done for delta in deltas),
    )


PASTED = Format("streams inside other text", _looks_like, _read)
