"""``kmon isolate --shrink`` as a command: what it refuses before anything is sent, what it lists, and its answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kmon.catalog.load import load_catalog
from kmon.catalog.toml_source import parse_toml
from tests.support.cli import kmon


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--demo", "--rate", "0.2"], "--rate belongs to a reduction; add --shrink"),
        (["--demo", "--output", "x.toml"], "--output belongs to a reduction; add --shrink"),
        (["--demo", "--shrink", "--rate", "0"], "--shrink: the failure rate must be between 0 and 1, not 0"),
        (["--demo", "--shrink", "--rate", "nan"], "--shrink: the failure rate must be between 0 and 1, not nan"),
        (["--demo", "--shrink", "--max-requests", "12"], "12 requests cannot reduce this one, which has 5 parts"),
        (["--demo", "--shrink", "--max-requests", "-1"], "-1 requests are less than one block"),
        (["--demo", "--shrink", "--factors", "tools"], "--factors says how factors are varied"),
        (["--demo", "--shrink", "--keep-check"], "--keep-check says how factors are varied"),
        (["--demo", "--shrink", "--scenario", "minimal"], "a request without parts cannot be reduced"),
        (["--demo", "--shrink", "--max-tokens", "1000"], "more than --max-tokens 1000"),
        (["--demo", "--shrink", "--output", "here"], "here exists; name a new file"),
        (["--demo", "--shrink", "--output", "away/x.toml"], "cannot write away/x.toml: No such file or directory"),
        (["together", "--shrink"], "say what is asked with --scenario NAME"),
        (["together", "--scenario", "tool-chain", "--shrink"], "takes several requests per run"),
        (["together", "--scenario", "code-tools", "--shrink"], "TOGETHER_API_KEY is not set"),
    ],
)
def test_what_cannot_be_reduced_is_refused_in_one_sentence(arguments: list[str], why: str, tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    done = kmon("isolate", *arguments, "--no-tui", cwd=tmp_path)
    assert done.returncode == 2 and why in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == "" and [each.name for each in tmp_path.iterdir()] == ["here"]


def test_the_list_names_the_parts_and_sends_nothing(tmp_path: Path) -> None:
    done = kmon("isolate", "--shrink", "--list", "bedrock/kimi-k2.5", "--scenario", "tool-result", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "bedrock/kimi-k2.5, tool-result",
        '  1  a message of the assistant "Getting it."',
        "  2  the call of get_weather with its result",
        "  3  the tool get_weather",
        "  4  the description of get_weather",
        "  5  the property city of get_weather",
    ]


def test_the_host_and_the_most_it_can_cost_are_told_before_anything_is_paid(tmp_path: Path) -> None:
    aim = ["--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--scenario", "tool-call", "--timeout", "1"]
    done = kmon("isolate", *aim, "--shrink", "--max-requests", "30", "--json", cwd=tmp_path)
    assert done.stderr.splitlines()[0] == "kmon: at most 30 requests, at most 30720 output tokens, to 127.0.0.1:9"
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["type"] for event in (*told[:2], *told[-2:])] == [
        "race_started", "shrink_started", "shrink_result", "race_ended"
    ]  # fmt: skip


def test_json_tells_the_parts_the_state_after_every_round_and_the_result(tmp_path: Path) -> None:
    arguments = ["--demo", "--profile", "smooth", "--speed", "200", "--json", "--output", "left.toml"]
    done = kmon("isolate", "--shrink", *arguments, cwd=tmp_path)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    started = next(event for event in told if event["type"] == "shrink_started")
    assert [part["kind"] for part in started["parts"]] == ["text", "call", "tool", "description", "property"]
    assert started["rate"] == 0.15 and started["max_requests"] == 400
    states = [event for event in told if event["type"] == "shrink_state"]
    assert [state["round"] for state in states] == list(range(1, len(states) + 1))
    assert states[0]["left"] == [0, 1, 2, 3, 4] and len(states[0]["sent"]) == 4
    last = told[-2]
    assert last["type"] == "shrink_result" and last["answered"] is True and last["scenario"] is None
    assert last["result"]["outcome"] == "does-not-fail" and "does not fail at a rate of 15 %" in last["sentence"]
    assert done.returncode == 0 and len([each for each in told if each["type"] == "run_ended"]) == last["requests"]
    assert "left.toml was not written" in done.stderr and not (tmp_path / "left.toml").exists()


def test_without_an_answer_the_exit_code_is_4(tmp_path: Path) -> None:
    done = kmon("isolate", "--shrink", "--demo", "--fault", "rate-limited", "--speed", "200", "--no-tui", cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    assert "all requests were rate-limited" in done.stdout.splitlines()[-1]


PROFILE = """
title = "a cause: requests that offer tools, more often than not"
[[rule]]
tools = true
tool_result = RESULT
probability = 0.5
fault = "http-500"
[pace]
reasoning_tokens = 0
ttft_s = 0.2
tokens_per_s = 200
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("result", "target", "scenario", "left"),
    [
        ("false", "together", "code-tools", ["tool"]),
        ("true", "bedrock/kimi-k2.5", "tool-result", ["call", "tool"]),
    ],
)
def test_a_hidden_cause_is_what_is_left_and_can_be_tested_again(
    result: str, target: str, scenario: str, left: list[str], tmp_path: Path
) -> None:
    (tmp_path / "cause.toml").write_text(PROFILE.replace("RESULT", result))
    aim = [target, "--scenario", scenario, "--demo", "--profile", "cause.toml", "--speed", "200"]
    done = kmon("isolate", "--shrink", *aim, "--json", "--output", "kmon.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    started = next(event for event in told if event["type"] == "shrink_started")
    ended = next(event for event in told if event["type"] == "shrink_result")
    assert [started["parts"][at]["kind"] for at in ended["left"]] == left, ended["sentence"]
    assert f"still fails with {len(left)} of its " in ended["sentence"]
    name = f"{scenario}-reduced"
    written = parse_toml(tmp_path / "kmon.toml", (tmp_path / "kmon.toml").read_text())
    assert load_catalog((written,)).scenarios[name].messages[0].content == ended["scenario"]["messages"][0]["content"]
    again = kmon(
        "test", target, "--scenario", name, "--demo", "--profile", "cause.toml", "--speed", "200",
        "--count", "12", "--no-tui", cwd=tmp_path,
    )  # fmt: skip
    assert name in again.stdout and again.returncode in (0, 1), again.stderr
