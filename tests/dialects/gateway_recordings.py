"""The recordings of two real gateways, read where ``KMON_GATEWAY_RECORDINGS`` says; tests skip without them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kmon.openclaw.protocol.tracker import Change, Tracker
from kmon.openclaw.recording import RecordedFrame, frames

FOLDER = Path(os.environ.get("KMON_GATEWAY_RECORDINGS") or "/nowhere")
needs_recordings = pytest.mark.skipif(not FOLDER.is_dir(), reason="KMON_GATEWAY_RECORDINGS is not set")
ALL = sorted(path.name for path in FOLDER.glob("openclaw-*.jsonl"))
OBSERVED = [name for name in ALL if name.replace(".jsonl", ".observer.jsonl") in ALL]


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text("utf-8").splitlines()]


def recorded(name: str) -> list[RecordedFrame]:
    return list(frames(lines(name)))


def replayed(name: str, until_s: float = 1e9) -> tuple[Tracker, list[Change]]:
    """The tracker as it stood at a moment of a recording, and all that changed up to then."""
    tracker, changes = Tracker(), []
    for t_ns, direction, frame in recorded(name):
        if t_ns <= until_s * 1e9:
            changes += tracker.feed(t_ns, frame, direction)
    return tracker, changes
