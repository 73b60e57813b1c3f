"""Names a recorded stream as a run names it: by the same clocks and checks, with the recorded times as the stamps."""

from __future__ import annotations

from kmon.config.settings import UNLEARNED_STALL_S
from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import StreamError
from kmon.findings.chunk_stats import ChunkStats
from kmon.findings.content import RequestFacts, request_facts
from kmon.findings.signature import EndedAttempt, ending, named
from kmon.recording import Interaction
from kmon.recording.decode import Decoded, decoded, plain_error, timed_deltas
from kmon.recording.pace import Pace
from kmon.simulator.dialects.registry import server_dialect
from kmon.simulator.replay_scenario import recorded_target, scenario
from kmon.stream.sanitize import Sanitizer
from kmon.stream.timeline import MS, S, Timeline
from kmon.stream.view import fold_chunk

BEGAN_NS = S
"""The stamp of the first event; nothing is compared with another clock."""


def decode(file: str, interaction: Interaction) -> Decoded:
    """Decode a :func:`kmon.recording.decode.decodable` interaction, and name what was wrong with it.

    Stalls are those above the default threshold. The wait for the first event is not recorded.
    """
    transcript, stats, pace = Transcript(), ChunkStats(), Pace()
    timeline = Timeline(BEGAN_NS, int(UNLEARNED_STALL_S * S))
    timeline.t_request_sent = timeline.t_headers = t_ns = BEGAN_NS
    error = plain_error(interaction)
    if error is None:
        event_of = Sanitizer("", 1)
        for delta, ms in timed_deltas(interaction):
            if ms is not None:
                t_ns = BEGAN_NS + int(ms * MS)
                pace.add(delta, ms)
            transcript.add(delta)
            event = event_of(t_ns, delta)
            stats.add(t_ns, delta, progress=any(event.output))
            fold_chunk(timeline, event)
        error = transcript.error
    timeline.on_closed(t_ns)
    name, sentence = _named(interaction, timeline, transcript, stats, error)
    return decoded(file, interaction, transcript, error, gap=pace.longest, signature=name, evidence=sentence)


def _named(
    interaction: Interaction, timeline: Timeline, transcript: Transcript, stats: ChunkStats, error: StreamError | None
) -> tuple[str | None, str]:
    how = ending(timeline, error)
    asked = _asked(interaction, transcript)
    return named(EndedAttempt(how, timeline, asked, transcript, stats, error, timeline.t_closed or BEGAN_NS))


def _asked(interaction: Interaction, transcript: Transcript) -> RequestFacts:
    """What was asked, as a replay asks it again."""
    request, server = interaction.request, server_dialect(interaction.dialect)
    asked = scenario("", server, request, lambda: [call.name for call in transcript.tool_calls])
    target = recorded_target(interaction, name="", model=request.model or transcript.model, base_url="")
    return request_facts(target, asked, asked.messages)
