"""Silences just under the threshold are named where they are most of an answer, and nowhere else."""

from __future__ import annotations

import pytest

from kmon.dialects.delta import Delta, ToolFragment
from kmon.findings.chunk_stats import ChunkStats
from kmon.findings.silence import resumed
from kmon.recording.pace import Pace
from kmon.stream.timeline import MS, S, Timeline

PACES = [
    ("near", [4.8] * 9, "repeated-stalls"),
    ("near, in bursts", [4.8, 0.0, 0.0] * 5, "repeated-stalls"),
    ("near and over", [4.8, 5.1, 4.8, 4.8, 4.8], "repeated-stalls"),
    ("few", [4.8] * 4, None),
    ("few, and one over", [4.8, 5.1, 4.8, 4.8], "stall-resumed"),
    ("well under", [4.0, 0.0, 0.0, 0.0] * 9, None),
    ("slow and steady", [0.9] * 60, None),
    ("a small part of a long answer", ([4.8] + [0.1] * 200) * 5, None),
]


def folded(gaps_s: list[float]) -> Timeline:
    timeline = Timeline(0, 5 * S)
    timeline.on_phase("request_sent", 0)
    now_ns = 50 * MS
    timeline.on_chunk(now_ns, text=True)
    for gap_s in gaps_s:
        now_ns += int(gap_s * S)
        timeline.on_chunk(now_ns, text=True)
    timeline.on_chunk(now_ns, finish=True)
    return timeline


@pytest.mark.parametrize(("gaps_s", "name"), [pace[1:] for pace in PACES], ids=[pace[0] for pace in PACES])
def test_a_live_stream_and_its_recording_are_named_alike(gaps_s: list[float], name: str | None) -> None:
    named = resumed(folded(gaps_s), ChunkStats())
    assert (named and named[0]) == name
    pace, now_ms = Pace(), 0.0
    for gap_s in [0.0, *gaps_s]:
        now_ms += gap_s * 1000
        pace.add(Delta(text="word"), now_ms)
    assert pace.signature == name


def test_the_sentence_tells_how_long_they_were() -> None:
    named = resumed(folded([4.8] * 4 + [4.9]), ChunkStats())
    assert named is not None
    assert named[1] == "5 silences of 4.8 to 4.9 s, near the threshold of 5 s, are most of the answer's time"


def test_a_server_that_holds_arguments_back_is_not_nearly_stalled() -> None:
    timeline, stats = folded([4.8] * 9), ChunkStats()
    stats.held_back += [(50 * MS + n * 4_800 * MS, 50 * MS + (n + 1) * 4_800 * MS) for n in range(9)]
    assert resumed(timeline, stats) is None
    pace = Pace()
    for index in range(9):
        pace.add(Delta(tools=(ToolFragment(index, "c", "run", "{}"),)), index * 4_800.0)
    assert pace.signature is None
