"""The last word on a run: its deciding attempt's outcome as the ``run_ended`` of the JSON contract."""

from __future__ import annotations

from kmon.dialects.bounds import ID_LIMIT_CHARS
from kmon.probe.recorder import Outcome
from kmon.stream.events import RunEnded
from kmon.stream.timeline import MS


def run_ended(
    outcome: Outcome,
    *,
    name: str,
    target: str,
    label: str,
    scenario: str,
    round_number: int,
    attempts: int,
    t_begin: int,
    nudge: str = "",
    turns: int = 1,
    tool_results: int = 0,
    retries: int = 0,
    fallback_target: str = "",
    diagnosis: str = "",
) -> RunEnded:
    """``t_begin`` is where its duration counts from."""
    safe, timeline, said, end_ns = outcome.safe, outcome.timeline, outcome.transcript, outcome.end_ns
    text, reasoning = safe.answer(said.text, said.reasoning)
    return RunEnded(
        end_ns,
        name,
        target,
        attempts,
        outcome.state,
        outcome.signature.name,
        outcome.signature.evidence,
        outcome.error,
        _ms(timeline.ttft_ns()),
        _ms(timeline.max_gap_ns(end_ns)),
        tuple(timeline.stalls),
        said.chunks,
        text,
        reasoning,
        safe.tool_calls(said.tool_calls),
        None if said.finish_reason is None else safe.named("finish_reason", said.finish_reason),
        said.usage,
        safe.named("response_id", said.response_id, ID_LIMIT_CHARS),
        outcome.request_ids,
        label=label,
        scenario=scenario,
        round=round_number,
        ttfo_ms=_ms(timeline.ttfo_ns()),
        duration_ms=(end_ns - t_begin) / MS,
        keepalives=timeline.life.ticks,
        nudge=nudge,
        turns=turns,
        tool_results=tool_results,
        retries=retries,
        fallback_target=fallback_target,
        diagnosis=diagnosis,
        blame=outcome.blame,
        dropped_chars=said.dropped_chars,
        dropped_tool_calls=said.dropped_calls,
        others_gap_ms=_ms(timeline.others_gap_ns()),
        unread=outcome.unread,
    )


def _ms(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / MS
