"""Builds the ``run_ended`` event of a run from the outcome of its deciding attempt."""

from __future__ import annotations

from typing import NamedTuple

from kmon.dialects.bounds import ID_LIMIT_CHARS
from kmon.probe.recorder import AttemptOutcome
from kmon.stream.events import RunEnded
from kmon.stream.others_gaps import mid_gap_ns, others_gap_ns
from kmon.stream.timeline import MS


class RunFacts(NamedTuple):
    """The fields of :class:`RunEnded` that do not come from the deciding attempt."""

    run: str
    target: str
    label: str
    scenario: str
    round: int
    t_begin: int
    """The start of its duration, CLOCK_MONOTONIC ns."""
    attempts: int = 1
    nudge: str = ""
    turns: int = 1
    tool_results: int = 0
    retries: int = 0
    fallback_target: str = ""
    diagnosis: str = ""
    earlier_gap_ns: int = 0
    """The longest silence in the turns before the deciding attempt."""
    earlier_late_ns: int = 0
    """For how long kmon stood still in them."""
    t_race: int | None = None
    """The start of the race, CLOCK_MONOTONIC ns; None where there is none."""


def run_ended(outcome: AttemptOutcome, facts: RunFacts) -> RunEnded:
    """The event that ends the run; text of the provider in it is sanitized."""
    safe, timeline, transcript, end_ns = outcome.sanitizer, outcome.timeline, outcome.transcript, outcome.end_ns
    text, reasoning = safe.answer(transcript.text, transcript.reasoning)
    _, refusal = safe.answer("", transcript.refusal)
    return RunEnded(
        end_ns,
        facts.run,
        facts.target,
        facts.attempts,
        outcome.state,
        outcome.signature.name,
        outcome.signature.evidence,
        outcome.error,
        _ms(timeline.ttft_ns()),
        _ms(timeline.max_gap_ns(end_ns)),
        tuple(timeline.stalls),
        transcript.chunks,
        text,
        reasoning,
        safe.tool_calls(transcript.tool_calls),
        None if transcript.finish_reason is None else safe.named("finish_reason", transcript.finish_reason),
        transcript.usage,
        safe.named("response_id", transcript.response_id, ID_LIMIT_CHARS),
        outcome.request_ids,
        label=facts.label,
        scenario=facts.scenario,
        round=facts.round,
        ttfo_ms=_ms(timeline.ttfo_ns()),
        duration_ms=(end_ns - facts.t_begin) / MS,
        keepalives=timeline.life.ticks,
        nudge=facts.nudge,
        turns=facts.turns,
        tool_results=facts.tool_results,
        retries=facts.retries,
        fallback_target=facts.fallback_target,
        diagnosis=facts.diagnosis,
        blame=outcome.blame,
        dropped_chars=transcript.dropped_chars,
        dropped_tool_calls=transcript.dropped_calls,
        others_gap_ms=_ms(others_gap_ns(timeline)),
        unread=outcome.unread,
        unread_dialect=outcome.unread_dialect,
        refusal=refusal,
        started_ms=0.0 if facts.t_race is None else max(0.0, (facts.t_begin - facts.t_race) / MS),
        left_open_ms=_ms(timeline.left_open_ns),
        mid_gap_ms=None if (gap_ns := mid_gap_ns(timeline)) is None else max(gap_ns, facts.earlier_gap_ns) / MS,
        late_ms=(outcome.late_ns + facts.earlier_late_ns) / MS,
        reused=timeline.reused,
    )


def _ms(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / MS
