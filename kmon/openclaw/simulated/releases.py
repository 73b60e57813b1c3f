"""The differences of the two gateway releases, as data. Source: recordings of 2026.2.17 and 2026.9.6.

Delays are seconds of the real gateway; the code that waits divides them by the speed.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Protocol = Literal[3, 4]
QueueMode = Literal["collect", "steer", "followup", "interrupt"]
FailureReason = Literal["reset", "truncated", "http"]
"""The connection broke, the stream ended without a finish reason, or the request was refused."""
QUEUE_MODES: tuple[QueueMode, ...] = ("collect", "steer", "followup", "interrupt")

CLIENT_IDS = frozenset(
    (
        "webchat-ui", "openclaw-control-ui", "openclaw-browser-copilot", "openclaw-tui", "webchat", "cli",
        "gateway-client", "openclaw-macos", "openclaw-linux", "openclaw-ios", "openclaw-watchos", "openclaw-android",
        "node-host", "openclaw-worker", "test", "fingerprint", "openclaw-probe",
    )
)  # fmt: skip
"""The closed list of ``client.id``; other names are refused."""
CLIENT_MODES = frozenset(("webchat", "cli", "ui", "backend", "node", "worker", "probe", "test"))

METHODS = (
    "health", "status", "sessions.list", "chat.send", "chat.history", "chat.abort", "agent.wait",
    "system-presence",
)  # fmt: skip
EVENTS = ("connect.challenge", "agent", "chat", "presence", "tick", "shutdown", "health")

DELTA_EVERY_S = 0.15
"""The least time between two chat deltas; agent events are not throttled."""
STEER_LIMIT_S = 120.0
"""A message that waits to be steered into a run gets its own empty final after this, consumed or not."""
STARTING_S = 3.0
"""How long a starting gateway refuses clients."""
RETRY_AFTER_MS = 500
"""The wait it asks of them."""
TICK_S = 30.0
HEALTH_S = 60.0
MAX_PAYLOAD_BYTES = 26_214_400
MAX_BUFFERED_BYTES = 52_428_800


class Release(Struct, frozen=True):
    """One release. ``version`` is that of its hello; without ``seq_per_connection`` all clients share one counter."""

    protocol: Protocol
    version: str
    default_queue: QueueMode
    signatures: frozenset[str]
    """The device signature formats it verifies."""
    scopes_need_device: bool
    """Whether a client without device identity gets no scopes, instead of those it asked for."""
    seq_per_connection: bool
    tool_frames_have_seq: bool
    rows_at_start: bool
    """Whether the history has the user's row during the run, instead of after it."""
    accepts_truncated: bool
    """Whether a stream that ends without a finish reason counts as an answer."""
    empty_retries: int | None
    """How often the model is called again after an empty reply; None: the reply is a final without message."""
    silent_retries: bool
    """Whether the chat gets an error at once and the call is retried after it."""
    drains: bool
    """Whether shutting down waits for open runs."""
    retry_delays_s: dict[FailureReason, tuple[float, ...]]
    """The recorded waits before each retry, by the first failure; after the last one the run fails."""


RELEASES: dict[Protocol, Release] = {
    3: Release(
        protocol=3,
        version="dev",
        default_queue="collect",
        signatures=frozenset(("v2",)),
        scopes_need_device=True,
        seq_per_connection=False,
        tool_frames_have_seq=False,
        rows_at_start=False,
        accepts_truncated=True,
        empty_retries=None,
        silent_retries=True,
        drains=False,
        retry_delays_s={"reset": (2.0, 8.0), "truncated": (2.0, 8.0), "http": (2.0, 8.0)},
    ),
    4: Release(
        protocol=4,
        version="2026.9.6",
        default_queue="steer",
        signatures=frozenset(("v2", "v3")),
        scopes_need_device=False,
        seq_per_connection=True,
        tool_frames_have_seq=True,
        rows_at_start=True,
        accepts_truncated=False,
        empty_retries=1,
        silent_retries=False,
        drains=True,
        retry_delays_s={
            "reset": (1.2, 1.5, 2.4, 7.1, 12.6, 26.0, 21.0),
            "truncated": (0.9, 1.6, 5.8, 10.2, 20.0, 22.5),
            "http": (0.5, 2.0, 5.5, 10.2, 17.0, 30.0),
        },
    ),
}
