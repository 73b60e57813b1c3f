"""When a recorded run hung, and on which side: the diagnosis of every second, gathered into stretches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from kmon.openclaw.diagnosis import diagnose
from kmon.openclaw.protocol.claim import ClientStatus
from kmon.openclaw.protocol.frames import Frame
from kmon.openclaw.protocol.runs import RUNS_LIMIT, Change, Direction, Tracker
from kmon.openclaw.recording import closed, duration_ns, frames
from kmon.openclaw.snapshot import S, sight

HELLO_FRAMES = 3
"""Challenge, connect and its answer: what a client learns before its session begins."""
SAMPLES_LIMIT = 2_000
"""A recording of days is looked at this often, however long it is."""


class Moment(Struct, frozen=True):
    """A stretch in which a run hung. Seconds of the recording; the sentence is that of its end."""

    from_s: float
    to_s: float
    name: str
    sentence: str
    claim: str
    """What the gateway's own client would have shown in the end."""


class Playback:
    """A recording played through tracker, mirrored clients and diagnosis, on its own clock."""

    def __init__(self, lines: Sequence[dict[str, Any]]) -> None:
        self.tracker = Tracker()
        self.moments: dict[str, list[Moment]] = {}
        self.changes: list[Change] = []
        self.end_ns = duration_ns(lines)
        self.gone = False
        self._claims: dict[str, ClientStatus] = {}
        self._hello: list[tuple[int, Frame, Direction]] = []
        step_ns = max(S, self.end_ns // SAMPLES_LIMIT)
        next_ns = step_ns
        for t_ns, direction, frame in frames(lines):
            while next_ns < t_ns:
                self._look(next_ns)
                next_ns += step_ns
            changed = self.tracker.feed(t_ns, frame, direction)
            self.changes += changed
            self._mirror(t_ns, frame, direction, changed)
        while next_ns < self.end_ns:
            self._look(next_ns)
            next_ns += step_ns
        self.gone = closed(lines) is not None
        self._look(self.end_ns)

    def _mirror(self, t_ns: int, frame: Frame, direction: Direction, changed: Sequence[Change]) -> None:
        """Feed the client of every session. One that sent nothing over this connection is inferred."""
        if len(self._hello) < HELLO_FRAMES:
            self._hello.append((t_ns, frame, direction))
        for run in (change.run for change in changed if change.run is not None):
            if run.session not in self._claims and len(self._claims) < RUNS_LIMIT:
                claim = self._claims[run.session] = ClientStatus(run.session, inferred=run.origin != "sent")
                for said in self._hello:
                    claim.feed(*said)
        for claim in self._claims.values():
            claim.feed(t_ns, frame, direction)

    def _look(self, now_ns: int) -> None:
        for run in self.tracker.runs.values():
            shown = claim.shown(now_ns) if (claim := self._claims.get(run.session)) else None
            found = diagnose(sight(self.tracker, run, now_ns, claim=shown, closed=self.gone))
            told = self.moments.setdefault(run.id, [])
            if found is None:
                continue
            line, now_s = str(shown or ""), now_ns / S
            if told and told[-1].name == found.name and now_s - told[-1].to_s <= max(S, self.end_ns // 1000) / S + 0.01:
                told[-1] = Moment(told[-1].from_s, now_s, found.name, found.sentence, line)
            else:
                told.append(Moment(now_s, now_s, found.name, found.sentence, line))
