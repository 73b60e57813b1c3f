"""Recorded answers, served again: the bytes as they were, split where events end, spread over their recorded time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from kmon.dialects.dialect import HttpDialect
from kmon.dialects.framing import SERVER_SENT_EVENTS, SNIFF_BYTES, Framing
from kmon.dialects.registry import http_dialects, wire_format
from kmon.errors import UsageError
from kmon.model import Scenario, Target
from kmon.recording import Interaction
from kmon.recording.decode import transcript_of
from kmon.recording.sniff import framing_of
from kmon.simulator.dialects.registry import server_dialect
from kmon.simulator.replay_scenario import UNSAFE_IN_PATH, recorded_target, scenario
from kmon.simulator.script import EndBody, Script, SendChunk, SendHead, Whole, scaled
from kmon.simulator.wire import ServerDialect

EVENTS_PER_S = 40.0
"""The rate of a recording that does not know its own."""
SCENARIO_NAME = "recorded"
"""What was asked is known by the stream it got, which names the target."""
KEPT_HEADERS = (
    "content-type", "retry-after", "retry-after-ms", "x-request-id", "request-id", "x-amzn-requestid",
    "x-amzn-errortype",
)  # fmt: skip

Recordings = Mapping[str, Sequence[Interaction]]
"""Interactions by the file they were read from, in the order in which the files were named."""


class Replayed(Struct, frozen=True):
    """One recorded stream that can be asked for again. ``prefix`` is where the simulator serves it."""

    name: str
    dialect: HttpDialect
    server: ServerDialect
    prefix: str
    interaction: Interaction
    file: str


def replayed(recordings: Recordings) -> list[Replayed]:
    """The streams in ``recordings``. Raises UsageError when a file has none that kmon can ask for."""
    found: list[Replayed] = []
    sides = {
        dialect.name: (dialect, server)
        for dialect in http_dialects()
        if (server := server_dialect(dialect.name)) is not None
    }
    for position, (file, interactions) in enumerate(recordings.items()):
        stem = UNSAFE_IN_PATH.sub("-", Path(file).stem) or "recording"
        streams = [one for one in interactions if one.streaming and one.problem is None]
        if not streams:
            if (unreadable := next((one for one in interactions if one.streaming), None)) is not None:
                raise UsageError(f"{file}: interaction {unreadable.index} cannot be replayed: {unreadable.problem}")
            raise UsageError(
                f"{file} holds no recorded stream, so there is nothing to replay; try 'kmon decode {file}'"
            )
        asked = [(sides[one.dialect], one) for one in streams if one.dialect in sides]
        if not asked:
            spoken = ", ".join(sorted({one.dialect for one in streams}))
            raise UsageError(
                f"{file} speaks {spoken}; only {', '.join(sides)} streams can be replayed, "
                "'kmon decode' reads the others"
            )
        found += [
            Replayed(f"{stem}#{one.index}", *both, f"/replay/{position}-{stem}/{one.index}", one, file)
            for both, one in asked
        ]
    return found


def replay_scripts(recordings: Recordings, *, speed: float = 1.0, as_recorded: bool = False) -> dict[str, Script]:
    """What the simulator sends for each, by path prefix. ``as_recorded`` keeps the recorded time whatever ``speed``."""
    pace = 1.0 if as_recorded else speed
    return {one.prefix: scaled(recorded_script(one.interaction), pace) for one in replayed(recordings)}


def recorded_script(interaction: Interaction) -> Script:
    """The recorded answer as a script.

    Times are the recorded arrivals where they are known for every event, else the recorded duration in equal parts,
    else :data:`EVENTS_PER_S` with the first event at once.
    """
    headers = tuple(
        (name, _one_line(interaction.headers[name])) for name in KEPT_HEADERS if name in interaction.headers
    )
    status = interaction.status or 200
    framing = framing_of(interaction.body)
    if framing is None and interaction.body.lstrip()[:1] not in (b"{", b"[", b"<"):
        framing = _expected_framing(interaction)
    if status != 200 or framing is None:
        return (Whole(status, headers, interaction.body, (interaction.duration_ms or 0.0) / 1000),)
    if "content-type" not in interaction.headers:
        headers = (("content-type", framing.media_types[0]), *headers)
    events = list(framing.split(interaction.body))
    gaps = zip(events, _gaps_s(interaction, len(events)), strict=True)
    return (SendHead(status, headers), *(SendChunk(event, "recorded", gap_s) for event, gap_s in gaps), EndBody())


def _expected_framing(interaction: Interaction) -> Framing:
    """How a body should be framed of which only a damaged part is there."""
    spoken = wire_format(interaction.dialect)
    return SERVER_SENT_EVENTS if spoken is None else spoken.framings[0]


def _gaps_s(interaction: Interaction, events: int) -> list[float]:
    if events and len(interaction.arrivals_ms) == events:
        times_ms = interaction.arrivals_ms
        return [max(0.0, now - before) / 1000 for before, now in zip((times_ms[0], *times_ms), times_ms, strict=False)]
    if interaction.duration_ms:
        return [interaction.duration_ms / 1000 / events] * events
    return [0.0 if index == 0 else 1 / EVENTS_PER_S for index in range(events)]


def _one_line(value: str) -> str:
    return " ".join(value.split())


def replay_targets(recordings: Recordings, origin: str) -> list[tuple[Target, Scenario]]:
    """What to race to see each recorded stream again, from a simulator at ``origin`` that serves them."""
    return [(replay_target(one, origin), replay_scenario(one)) for one in replayed(recordings)]


def replay_scenario(one: Replayed) -> Scenario:
    """What was asked for ``one``, as far as the recording holds it."""
    return scenario(SCENARIO_NAME, one.server, one.interaction.request, lambda: _called(one.interaction))


def _called(interaction: Interaction) -> list[str]:
    return [call.name for call in transcript_of(interaction).tool_calls]


def replay_target(one: Replayed, origin: str) -> Target:
    """The target that serves ``one`` at a simulator of this ``origin``."""
    base_url = f"{origin}{one.prefix}{one.dialect.base_path}"
    model = one.interaction.request.model or _model(one)
    return recorded_target(one.interaction, name=one.name, model=model, base_url=base_url)


def _model(one: Replayed) -> str:
    """The model that the answer names: it is known so when the request is lost."""
    begun = one.dialect.decoder().feed(one.interaction.body[:SNIFF_BYTES])
    return next((delta.model for delta in begun if delta.model), "")
