"""Profiles: the first rule that matches decides; what cannot be used is refused with file, line and key."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from kmon.errors import UsageError
from kmon.simulator.faults.silences import HangMidStream, MidStreamStall
from kmon.simulator.profile import Facts, Profile, built_in, load


def facts(provider: str = "together", *, model: str = "m", tools: bool = False, nudge: bool = False) -> Facts:
    return Facts(provider, model, tools, tool_result=False, nudge=nudge)


def written(tmp_path: Path, text: str) -> Profile:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return load(str(path))


def test_the_built_in_profiles_load() -> None:
    assert built_in() == (
        "demo",
        "isolate",
        "outages",
        "retries",
        "seed-000",
        "seed-001",
        "seed-002",
        "seed-003",
        "smooth",
    )
    assert [load(name).name for name in built_in()] == list(built_in())


def test_seed_000_stalls_on_together_with_tools_only() -> None:
    profile = load("seed-000")
    fault = profile.fault(facts(tools=True), seed=1, turn=1)
    assert isinstance(fault, MidStreamStall)
    assert fault.duration_s == (15, 30)
    for other in (facts(), facts("fireworks", tools=True), facts("fireworks"), facts(tools=True, nudge=True)):
        assert profile.fault(other, seed=1, turn=1).name == "smooth"


def test_the_first_rule_that_matches_decides(tmp_path: Path) -> None:
    profile = written(
        tmp_path,
        """
        [[rule]]
        provider = "groq"
        fault = "http-500"

        [[rule]]
        model = "*Kimi*"
        fault = "hang-mid-stream"
        after_tokens = 7

        [[rule]]
        fault = "no-headers"
        """,
    )
    assert profile.fault(facts("Groq", model="kimi"), seed=1, turn=1).name == "http-500"
    assert profile.fault(facts(model="moonshotai/kimi-k2"), seed=1, turn=1) == HangMidStream(after_tokens=7)
    assert profile.fault(facts(), seed=1, turn=1).name == "no-headers"


def test_first_strikes_only_the_first_times_that_a_conversation_is_asked(tmp_path: Path) -> None:
    profile = written(tmp_path, '[[rule]]\nfirst = 2\nfault = "http-500"\n[[rule]]\nfault = "stall"\n')
    struck = [profile.fault(facts(), seed=1, turn=9, ordinal=n).name for n in (1, 2, 3, 4)]
    assert struck == ["http-500", "http-500", "stall", "stall"]
    with pytest.raises(UsageError, match="line 2"):
        written(tmp_path, '[[rule]]\nfirst = 0\nfault = "http-500"\n')


def test_probability_is_a_share_of_every_ten_alike_and_the_seed_decides_which(tmp_path: Path) -> None:
    profile = written(tmp_path, '[[rule]]\nprobability = 0.4\nfault = "no-headers"\n')

    def struck(seed: int) -> list[bool]:
        return [profile.fault(facts(), seed=seed, turn=turn).name == "no-headers" for turn in range(1, 101)]

    assert struck(1) == struck(1) != struck(2)
    assert [sum(struck(1)[start : start + 10]) for start in range(0, 100, 10)] == [4] * 10
    assert struck(1)[:10] != struck(1)[10:20]


def test_an_episode_is_so_many_equal_requests_in_a_row(tmp_path: Path) -> None:
    profile = written(tmp_path, '[[rule]]\nprobability = 0.3\nepisode = 5\nfault = "no-headers"\n')

    def lengths(seed: int) -> list[int]:
        struck = [profile.fault(facts(), seed=seed, turn=turn).name == "no-headers" for turn in range(1, 501)]
        assert 0.28 < sum(struck) / 500 < 0.32
        return [len(list(group)) for hit, group in groupby(struck) if hit]

    assert all(length % 5 == 0 for length in lengths(1)[1:-1])
    assert len({lengths(seed)[0] % 5 for seed in range(20)}) > 1  # the first may have begun before
    with pytest.raises(UsageError, match=r"rule\[0\].episode"):
        written(tmp_path, '[[rule]]\nepisode = 0\nfault = "http-500"\n')


def test_paces_go_from_all_to_provider_to_model(tmp_path: Path) -> None:
    profile = written(
        tmp_path,
        '[pace]\ntokens_per_s = 10\nttft_s = 1\n[pace.groq]\ntokens_per_s = 99\n[pace."groq/big*"]\nttft_s = 9\n',
    )
    assert (profile.pace("x", "m").tokens_per_s, profile.pace("x", "m").ttft_s) == (10, 1)
    assert (profile.pace("groq", "m").tokens_per_s, profile.pace("groq", "m").ttft_s) == (99, 1)
    assert (profile.pace("groq", "big-1").tokens_per_s, profile.pace("groq", "big-1").ttft_s) == (99, 9)


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ("rules = 1", 1, ["'rules'", "did you mean rule"]),
        ("rule = 1", 1, ["'rule'", "[[rule]]"]),
        ("[[rule]]\ntools = true", 1, ["no fault", "add fault"]),
        ('[[rule]]\nfault = "hang"', 2, ["rule[0].fault", "unknown fault 'hang'", "hang-mid-stream"]),
        ('[[rule]]\nfault = "stall"\n\n[[rule]]\nfault = "stall"\nlong = 3', 6, ["rule[1].long", "duration_s"]),
        ('[[rule]]\nfault = "stall"\nduration_s = -1', 3, ["rule[0].duration_s", "0.0"]),
        ('[[rule]]\nfault = "stall"\nduration_s = [3]', 3, ["duration_s", "[min, max]"]),
        ('[[rule]]\nfault = "stall"\nduration_s = [3, 1]', 3, ["duration_s", "smaller one first"]),
        ('[[rule]]\nprobability = 1.5\nfault = "stall"', 2, ["rule[0].probability", "1.0"]),
        ('[[rule]]\ntools = "yes"\nfault = "stall"', 2, ["rule[0].tools", "bool"]),
        ("[pace]\ntokens_per_s = 0", 2, ["pace.tokens_per_s"]),
        ("[pace.groq]\nspeed = 3", 2, ["pace.groq.speed", "unknown key"]),
        ("[[rule]\n", 1, ["not valid TOML"]),
    ],
)
def test_a_bad_profile_is_refused_with_file_line_key_and_what_to_do(
    tmp_path: Path, text: str, line: int, parts: list[str]
) -> None:
    with pytest.raises(UsageError) as refused:
        written(tmp_path, text)
    message = str(refused.value)
    assert f"mine.toml line {line}" in message
    for part in parts:
        assert part in message


def test_a_profile_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(
        UsageError, match="demo, isolate, outages, retries, seed-000, seed-001, seed-002, seed-003, smooth"
    ):
        load("nope")


def test_a_rule_can_be_about_streams_or_about_whole_answers(tmp_path: Path) -> None:
    profile = written(tmp_path, '[[rule]]\nstream = true\nfault = "no-headers"\n')
    streamed = Facts("p", "m", tools=False, tool_result=False, nudge=False)
    whole = Facts("p", "m", tools=False, tool_result=False, nudge=False, stream=False)
    assert profile.fault(streamed, seed=1, turn=1).name == "no-headers"
    assert profile.fault(whole, seed=1, turn=1).name == "smooth"
