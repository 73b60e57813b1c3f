"""Recordings of a gateway's WebSocket: their frames, and when which run hung.

A recording has one JSON object per line, ``{"rel": s, "dir": "in|out|meta", "frame": ...}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from kmon.dialects.json_access import members
from kmon.openclaw.diagnosis import diagnose
from kmon.openclaw.protocol.client_status import ClientStatus
from kmon.openclaw.protocol.frames import Frame, FrameError, parse
from kmon.openclaw.protocol.tracker import RUNS_LIMIT, Change, Tracker
from kmon.openclaw.snapshot import S, take_snapshot
from kmon.recording.formats import har, mitmproxy
from kmon.recording.sniff import is_gateway
from kmon.recording.source import Source
from kmon.recording.web_sockets import gateway_rows

HELLO_FRAMES = 3
"""Challenge, connect and its answer: what a client gets before its session begins."""
SAMPLES_LIMIT = 2_000
"""How often a recording is diagnosed at most, however long it is."""


class RecordedFrame(NamedTuple):
    """One frame. ``t_ns`` counts from the start of the recording."""

    t_ns: int
    direction: Literal["in", "out"]
    frame: Frame


class Moment(Struct, frozen=True):
    """A stretch in which a run hung, in seconds of the recording. The sentence is that of its end."""

    from_s: float
    to_s: float
    name: str
    sentence: str
    claim: str
    """What the gateway's own client would have shown at its end."""


def read(source: Source) -> list[list[dict[str, Any]]]:
    """The lines of each gateway's recording in a file: its own, or those in a HAR or a flow file."""
    if is_gateway(source.rows):
        return [source.rows]
    found = [gateway_rows(messages) for messages in (*har.dialogues(source), *mitmproxy.dialogues(source))]
    return [rows for rows in found if rows]


def frames(lines: Sequence[dict[str, Any]]) -> Iterator[RecordedFrame]:
    """The frames of a recording with their stamps; lines without a valid frame are left out."""
    for line in lines:
        if line.get("dir") not in ("in", "out"):
            continue
        try:
            frame = parse(msgspec.json.encode(line.get("frame")))
        except (FrameError, UnicodeEncodeError, RecursionError):
            continue
        yield RecordedFrame(_t_ns(line.get("rel")), line["dir"], frame)


def duration_ns(lines: Sequence[dict[str, Any]]) -> int:
    """From the start of the recording to its last line."""
    return max((_t_ns(line.get("rel")) for line in lines), default=0)


def closed(lines: Sequence[dict[str, Any]]) -> int | None:
    """The WebSocket's close code, where the recording has it."""
    for line in reversed(lines):
        code = members(line.get("frame")).get("closed")
        if line.get("dir") == "meta" and isinstance(code, int):
            return code
    return None


def _t_ns(rel: object) -> int:
    return int(rel * S) if isinstance(rel, int | float) and 0 <= rel < 1e9 else 0


class Playback:
    """A recording played through tracker, client status and diagnosis, on its own clock."""

    def __init__(self, lines: Sequence[dict[str, Any]]) -> None:
        self.tracker = Tracker()
        self.moments: dict[str, list[Moment]] = {}
        """By run id."""
        self.changes: list[Change] = []
        self.end_ns = duration_ns(lines)
        self.gone = False
        self._clients: dict[str, ClientStatus] = {}
        self._hello: list[RecordedFrame] = []
        step_ns = max(S, self.end_ns // SAMPLES_LIMIT)
        next_ns = step_ns
        for recorded in frames(lines):
            while next_ns < recorded.t_ns:
                self._diagnose(next_ns)
                next_ns += step_ns
            changed = self.tracker.feed(recorded.t_ns, recorded.frame, recorded.direction)
            self.changes += changed
            self._follow_clients(recorded, changed)
        while next_ns < self.end_ns:
            self._diagnose(next_ns)
            next_ns += step_ns
        self.gone = closed(lines) is not None
        self._diagnose(self.end_ns)

    def _follow_clients(self, recorded: RecordedFrame, changed: Sequence[Change]) -> None:
        """Feed the client of every session. One that sent nothing over this connection is inferred."""
        if len(self._hello) < HELLO_FRAMES:
            self._hello.append(recorded)
        for run in (change.run for change in changed if change.run is not None):
            if run.session not in self._clients and len(self._clients) < RUNS_LIMIT:
                client = self._clients[run.session] = ClientStatus(run.session, inferred=run.origin != "sent")
                for t_ns, direction, frame in self._hello:
                    client.feed(t_ns, frame, direction)
        for client in self._clients.values():
            client.feed(recorded.t_ns, recorded.frame, recorded.direction)

    def _diagnose(self, now_ns: int) -> None:
        for run in self.tracker.runs.values():
            shown = client.shown(now_ns) if (client := self._clients.get(run.session)) else None
            found = diagnose(take_snapshot(self.tracker, run, now_ns, claim=shown, closed=self.gone))
            moments = self.moments.setdefault(run.id, [])
            if found is None:
                continue
            line, now_s = str(shown or ""), now_ns / S
            longest_s = max(S, self.end_ns // 1000) / S + 0.01
            if moments and moments[-1].name == found.name and now_s - moments[-1].to_s <= longest_s:
                moments[-1] = Moment(moments[-1].from_s, now_s, found.name, found.sentence, line)
            else:
                moments.append(Moment(now_s, now_s, found.name, found.sentence, line))
