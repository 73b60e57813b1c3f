"""Promises of the progress clock: it ticks when the answer grew, whatever else a chunk carries, and only then."""

from __future__ import annotations

import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta, StreamError, ToolFragment, Usage
from kmon.dialects.text import clean
from kmon.findings.chunk_stats import ChunkStats
from kmon.stream import events as ev
from kmon.stream.sanitize import Sanitizer
from kmon.stream.timeline import S, Timeline
from kmon.stream.view import RaceView, fold_chunk
from tests.support.loopback import END, HEAD, chunked, serving
from tests.support.racing import outcome, plan, target

PIECES = st.sampled_from(["", "", "word", " ", "\x1b", "\u202e\x00", "é", "\x07x"])
"""Some of which are nothing once they are cleaned."""
DELTAS = st.builds(
    Delta,
    text=PIECES,
    reasoning=PIECES,
    tools=st.lists(
        st.builds(ToolFragment, st.integers(0, 1), st.sampled_from(["", "c1"]), st.sampled_from(["", "f"]), PIECES),
        max_size=2,
    ).map(tuple),
    finish_reason=st.none() | st.just("stop"),
    usage=st.none() | st.just(Usage(1, 2, 3)),
    error=st.none() | st.just(StreamError("in-stream", "overloaded")) | st.just(StreamError("malformed-frame", "?")),
    keepalive=st.booleans(),
    done=st.booleans(),
    chunk=st.booleans(),
)


def said(transcript: Transcript) -> tuple[int, int, int]:
    """How much of an answer there is, as a run's last word shows it."""
    arguments = sum(len(clean(call.arguments)) for call in transcript.tool_calls)
    return len(clean(transcript.text)), len(clean(transcript.reasoning)), arguments


@given(st.lists(DELTAS, max_size=8))
def test_the_progress_clock_ticks_exactly_when_text_reasoning_or_arguments_grew(deltas: list[Delta]) -> None:
    translate, transcript, seen, timeline, view = (
        Sanitizer("r", 1),
        Transcript(),
        ChunkStats(),
        Timeline(0, S),
        RaceView(),
    )
    timeline.on_phase("request_sent", 0)
    view.apply(ev.RunQueued(0, "r", "t", "l", "s", 1, "chat"))
    view.apply(ev.AttemptStarted(0, "r", 1, "first", "http://x"))
    for t_ns, delta in enumerate(deltas, 1):
        before, ticks = said(transcript), timeline.progress.ticks
        transcript.add(delta)
        event = translate(t_ns, delta)
        fold_chunk(timeline, event)
        seen.add(t_ns, delta, progress=any(event.output))
        view.apply(event)
        grew = said(transcript) != before
        assert timeline.progress.ticks - ticks == grew == any(event.output)
        assert (timeline.progress.last_ns == t_ns) == grew
    (attempt,) = view.runs["r"].attempts
    assert attempt.timeline.progress == timeline.progress
    assert attempt.joined("text") == clean(transcript.text)
    assert attempt.joined("reasoning") == clean(transcript.reasoning)


async def test_words_that_come_with_an_error_are_progress_and_are_shown() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chunk = {
            "choices": [{"index": 0, "delta": {"content": "half an answer"}, "finish_reason": None}],
            "error": {"message": "overloaded", "code": 503},
        }
        writer.write(HEAD + chunked(b"data: " + json.dumps(chunk).encode() + b"\n\n") + END)

    async with serving(script) as url:
        (ended,), events = await outcome(plan(target(url)))
    (delta,) = [event for event in events if isinstance(event, ev.DeltaArrived)]
    assert (delta.kind, delta.text) == ("error", "half an answer")
    assert (ended.text, ended.signature) == ("half an answer", "error-in-stream")
    assert ended.ttft_ms is not None
    assert "last progress" in ended.evidence
