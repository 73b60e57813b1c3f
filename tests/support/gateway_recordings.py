"""The recordings of two real gateways, read where ``KMON_GATEWAY_RECORDINGS`` says; tests skip without them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from kmon.openclaw.protocol.frames import GatewayEvent, GatewayRequest, GatewayResponse
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


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


WORDS = "start end error model finishing delta final aborted status assistant lifecycle tool item usage run_status"


MEMBERS = "runId sessionKey state stream data phase seq text delta replace message content deltaText toolCallId args"


known = st.sampled_from([*WORDS.split(), "update", "result", "r1", "r2", "s", "hello-ok", "text"])


member = st.sampled_from([*MEMBERS.split(), "outputTokens", "stopReason", "errorMessage", "idempotencyKey", "type"])


payload = st.recursive(
    st.dictionaries(member, junk | known, max_size=8),
    lambda inner: st.dictionaries(member, junk | known | inner, max_size=8),
    max_leaves=8,
)

any_frame = st.one_of(
    st.builds(
        GatewayEvent, st.sampled_from(["chat", "agent", "tick", "health", "x"]), payload, st.none() | st.integers()
    ),
    st.builds(GatewayRequest, st.sampled_from("12"), st.sampled_from(["chat.send", "connect"]), payload),
    st.builds(GatewayResponse, st.sampled_from("12"), st.booleans(), payload | junk),
)
