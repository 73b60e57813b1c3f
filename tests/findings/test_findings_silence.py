"""Silences just under the threshold are named where they are most of an answer, and nowhere else."""

from __future__ import annotations

import pytest

from kmon.findings.chunk_stats import ChunkStats
from kmon.findings.silence import out_of_time, resumed
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
def test_many_silences_that_are_most_of_an_answer_are_named(gaps_s: list[float], name: str | None) -> None:
    named = resumed(folded(gaps_s), ChunkStats())
    assert (named and named[0]) == name


def test_the_sentence_tells_how_long_they_were() -> None:
    named = resumed(folded([4.8] * 4 + [4.9]), ChunkStats())
    assert named is not None
    assert named[1] == "5 silences of 4.8 to 4.9 s, near the threshold of 5 s, are most of the answer's time"


def test_a_server_that_holds_arguments_back_is_not_nearly_stalled() -> None:
    timeline, stats = folded([4.8] * 9), ChunkStats()
    stats.held_back += [(50 * MS + n * 4_800 * MS, 50 * MS + (n + 1) * 4_800 * MS) for n in range(9)]
    assert resumed(timeline, stats) is None


@pytest.mark.parametrize(
    ("late_s", "open_s", "took_s", "void"),
    [
        (0.0, 20, 20, False),
        (0.9, 2, 4, False),
        (22.0, 24, 26, True),
        (3.0, 6, 15, True),
        (22.0, 58, 60, False),  # the server alone was silent for 36 s
        (5.0, None, 15, True),  # output was still coming
        (2.0, None, 15, False),
    ],
)
def test_a_limit_is_void_where_kmon_stood_still_for_a_good_part_of_the_time(
    late_s: float, open_s: float | None, took_s: int, void: bool
) -> None:
    line = Timeline(0, 5 * S)
    line.left_open_ns = None if open_s is None else int(open_s * S)
    assert bool(out_of_time(line, int(late_s * S), took_s * S)) == void
