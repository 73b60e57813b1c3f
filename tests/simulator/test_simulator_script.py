"""Scripts are pure: times scale, cuts fall where they should, the seed decides everything."""

from __future__ import annotations

import json
import statistics
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.simulator import profile
from kmon.simulator.dialects.chat import CHAT, read_request
from kmon.simulator.faults.registry import FAULTS, from_header
from kmon.simulator.pacing import Pace, gaps_s
from kmon.simulator.profile import load
from kmon.simulator.request import ChatRequest
from kmon.simulator.script import (
    EndBody,
    Hold,
    KeepAlives,
    KeepOpen,
    Reset,
    Script,
    SendChunk,
    SendHead,
    Whole,
    duration_s,
    is_progress,
    offsets,
    scaled,
    split,
)
from kmon.simulator.script_builder import BuildContext, BuiltScript, Ordinals, build_script
from tests.support.talk import Body

STEPS = st.one_of(
    st.builds(SendChunk, st.just(b"x"), st.sampled_from(["role", "text", "comment"]), st.floats(0, 60)),
    st.builds(KeepAlives, st.just(b":"), st.floats(0.01, 9), st.floats(0, 60)),
    st.builds(EndBody, st.floats(0, 60)),
    st.builds(SendHead, st.just(200), st.just(()), st.floats(0, 60)),
)

IN_CHAT = {name: fault for name, fault in FAULTS.items() if fault.needs <= CHAT.traits}


def asked(body: Body) -> ChatRequest:
    return read_request(json.dumps(body).encode())


def built(body: Body, *, seed: int = 1, ordinal: int = 1, fault: str | None = None, speed: float = 1.0) -> BuiltScript:
    forced = from_header(fault) if fault else None
    context = BuildContext("together", seed=seed, ordinal=ordinal, speed=speed, fault=forced)
    return build_script(asked(body), load("smooth"), context)


def progress(script: Script) -> list[SendChunk]:
    return [step for step in script if is_progress(step)]


@given(st.lists(STEPS, max_size=20).map(tuple), st.floats(0.1, 1000))
def test_speed_compresses_every_time_and_keeps_all_ratios(script: Script, speed: float) -> None:
    fast = offsets(scaled(script, speed))
    assert fast == pytest.approx([at_s / speed for at_s in offsets(script)])


def test_times_after_what_only_the_client_can_end_are_unknown() -> None:
    tail = (SendChunk(b"x", "text", 1.0), EndBody())
    for endless in (Hold(), KeepOpen(), KeepAlives(b":", 1.0)):
        assert offsets((SendHead(200, (), 2.0), endless, *tail)) == (2.0, 2.0)
    assert duration_s((KeepAlives(b":", 1.0, 5.0), *tail)) == 6.0
    assert duration_s(()) == 0.0


def test_a_cut_falls_after_so_many_tokens_or_in_the_middle_of_a_short_answer() -> None:
    script: Script = (
        SendHead(200, ()),
        SendChunk(b"r", "role"),
        *(SendChunk(b"%d" % n, "text") for n in range(10)),
        EndBody(),
    )
    assert len(progress(split(script, 3)[0])) == 3
    assert len(progress(split(script, 99)[0])) == 5
    assert split(script, 3)[0] + split(script, 3)[1] == script
    before, after = split((SendHead(200, ()), SendChunk(b"r", "role"), SendChunk(b"f", "finish"), EndBody()), 3)
    assert (len(before), len(after)) == (2, 2)


@pytest.mark.parametrize("fault", IN_CHAT)
def test_the_same_seed_gives_the_same_script_byte_for_byte(
    fault: str, body: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmon.simulator.faults.path.time.time", lambda: 1.8e9)  # the date in the headers of clock-skew
    assert built(body, fault=fault) == built(body, fault=fault)


def test_another_seed_or_another_time_of_asking_gives_other_gaps(body: Body) -> None:
    scripts = [built(body).script, built(body, seed=2).script, built(body, ordinal=2).script]
    assert len({tuple(offsets(script)) for script in scripts}) == 3


def test_asking_the_same_again_is_counted_apart_from_asking_something_else() -> None:
    ordinals = Ordinals()
    assert [ordinals.next("p", "m", c) for c in ("a", "a", "b", "a")] == [1, 2, 1, 3]
    assert ordinals.next("q", "m", "a") == 1


def test_speed_changes_times_only(body: Body) -> None:
    slow, fast = built(body).script, built(body, speed=4.0).script
    assert offsets(fast) == pytest.approx([at_s / 4 for at_s in offsets(slow)])
    assert [s.data for s in slow if isinstance(s, SendChunk)] == [s.data for s in fast if isinstance(s, SendChunk)]


def test_gaps_jitter_around_the_rate() -> None:
    gaps = gaps_s(Pace(0.4, 50.0, 0.45, 0), 5_000, Random(1))
    assert statistics.mean(gaps) == pytest.approx(1 / 50, rel=0.05)
    assert statistics.stdev(gaps) > 0.005
    assert min(gaps) > 0


def test_a_code_answer_streams_for_ten_to_twenty_seconds(body: Body) -> None:
    assert 10 < duration_s(built(body).script) < 20


def test_a_thinking_model_thinks_before_it_answers(body: Body) -> None:
    kinds = [send.kind for send in progress(built(body | {"model": "moonshotai/Kimi-K2.6"}).script)]
    assert kinds.index("text") > 0
    assert set(kinds[: kinds.index("text")]) == {"reasoning"}
    assert set(kinds[kinds.index("text") :]) == {"text"}


@pytest.mark.parametrize("fault", ["stall", "stall-when-tools"])
def test_a_stall_lasts_15_to_30_s_in_the_middle_and_loses_nothing(fault: str, body: Body, weather: Body) -> None:
    request = body | {"tools": [weather]}
    smooth, stalled = progress(built(request).script), progress(built(request, fault=fault).script)
    assert [send.data for send in smooth] == [send.data for send in stalled]
    extra = [b.after_s - a.after_s for a, b in zip(smooth, stalled, strict=True)]
    stalls = [(i, gap_s) for i, gap_s in enumerate(extra) if gap_s > 0]
    assert len(stalls) == 1
    assert 0 < stalls[0][0] < len(smooth)
    assert 15 <= stalls[0][1] <= 30


def test_stall_when_tools_leaves_a_request_without_tools_alone(body: Body) -> None:
    assert built(body, fault="stall-when-tools").script == built(body).script


@pytest.mark.parametrize("fault", [name for name, fault in IN_CHAT.items() if fault.streams_only])
def test_a_fault_that_needs_a_stream_leaves_a_plain_answer_alone(fault: str, body: Body) -> None:
    plain = built(body | {"stream": False}, fault=fault)
    assert plain.fault == "smooth"
    assert isinstance(plain.script[0], Whole)


def test_bursts_stay_under_the_stall_threshold(body: Body) -> None:
    sends = progress(built(body, fault="slow-bursts").script)
    waits = [send.after_s for send in sends if send.after_s]
    assert len(waits) == -(-len(sends) // 40)
    assert max(waits) < 5


def test_a_reset_announces_more_than_it_sends(body: Body) -> None:
    assert isinstance(built(body, fault="reset-mid-chunk:after_tokens=5").script[-1], Reset)


def test_the_demo_shows_its_ways_to_go_and_is_over_before_its_timeout(body: Body, weather: Body) -> None:
    demo = profile.load("demo")
    request = asked(body | {"model": "kimi-k2.6", "tools": [weather]})
    expected = {
        "together": "stall",
        "fireworks": "smooth",
        "groq": "smooth",
        "moonshot": "slow-first-token",
        "openrouter": "keepalives-only",
        "deepinfra": "truncated-no-finish",
        "nvidia": "rate-limited",
        "mistral": "held-until-next",
    }
    made = {row: build_script(request, demo, BuildContext(row)) for row in expected}
    assert {row: one.fault for row, one in made.items()} == expected
    assert max(duration_s(one.script) for one in made.values()) < 19
