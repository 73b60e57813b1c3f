"""``kmon isolate`` as a command: what it refuses before anything is sent, what it lists, and its demonstration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import kmon


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "name the target whose request fails, or use --demo"),
        (["together"], "say what is asked with --scenario NAME"),
        (["together", "groq", "--scenario", "code"], "one request is isolated at a time"),
        (["together", "--scenario", "cod"], "did you mean code"),
        (["together", "--scenario", "tool-chain"], "takes several requests per run"),
        (
            ["--demo", "--factors", "history"],
            "the factor history cannot be varied in this request: nothing stands before",
        ),
        (["--demo", "--factors", "http-version"], "Bedrock is asked by HTTP/1.1 only"),
        (["--demo", "--factors", "wether"], "there is no factor 'wether'; the factors are elsewhere"),
        (["--demo", "--factors", "tools", "--without", "tools"], "tools is to be varied (--factors) and not to be"),
        (["--demo", "--max-requests", "8"], "8 requests cannot isolate anything"),
        (["--demo", "--max-requests", "0"], "requests cannot isolate anything"),
        (["--demo", "--max-tokens", "1000"], "more than --max-tokens 1000"),
        (["--demo", "--per-target", "0"], "--per-target must be 1 or more"),
        (["--demo", "--spacing", "-1"], "--spacing must be from 0"),
        (["together", "--scenario", "code", "--speed", "3"], "--speed has no effect on real providers"),
        (["together", "--scenario", "code", "--elsewhere", "groq"], "is another model"),
        (["together", "--scenario", "code"], "TOGETHER_API_KEY is not set"),
    ],
)
def test_what_cannot_be_isolated_is_refused_in_one_sentence(arguments: list[str], why: str, tmp_path: Path) -> None:
    done = kmon("isolate", *arguments, "--no-tui", cwd=tmp_path)
    assert done.returncode == 2 and why in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""


def test_the_list_says_of_every_factor_whether_it_can_be_varied(tmp_path: Path) -> None:
    done = kmon(
        "isolate", "--list", "moonshot", "--scenario", "tool-result", cwd=tmp_path, env={"MOONSHOT_API_KEY": "k"}
    )
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in done.stdout.splitlines()[1:]}
    assert lines["dialect"].endswith("moonshot-messages (kimi-k2.6, messages) at api.moonshot.ai")
    assert lines["tools"] == "tools in the request -> no tools"
    assert lines["elsewhere"].endswith("moonshot-cn (kimi-k2.6, chat) at api.moonshot.cn")
    assert lines["history"] == "no: nothing stands before the last question"
    assert lines["connection"] == "a new connection -> one that was used before"
    assert lines["at-once"].startswith("no: the requests of a round are sent together")
    assert lines["http-version"] in ("HTTP/1.1 -> HTTP/2", "no: it needs the extra: pip install 'kmon-tui[http2]'")
    assert "k" not in done.stdout.split()


def events(stdout: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


def test_every_host_and_the_most_it_can_cost_are_told_before_anything_is_paid(tmp_path: Path) -> None:
    arguments = ["--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--scenario", "minimal", "--max-requests", "30"]
    done = kmon("isolate", *arguments, "--json", "--timeout", "1", cwd=tmp_path)
    assert done.stderr.splitlines()[0] == ("kmon: at most 30 requests, at most 30720 output tokens, to 127.0.0.1:9")
    told = events(done.stdout)
    assert told[0]["type"] == "race_started" and told[1]["type"] == "isolate_started"
    assert told[-1]["type"] == "race_ended" and told[-2]["type"] == "isolate_conclusion"


def test_json_tells_the_factors_the_state_after_every_round_and_the_conclusion(tmp_path: Path) -> None:
    arguments = ["--demo", "--profile", "smooth", "--speed", "200", "--factors", "streaming,tool-result", "--json"]
    done = kmon("isolate", *arguments, cwd=tmp_path)
    told = events(done.stdout)
    started = next(event for event in told if event["type"] == "isolate_started")
    assert [factor["name"] for factor in started["factors"]] == ["tool-result", "streaming"]
    assert started["not_varied"]["tools"] == "left out"
    states = [event for event in told if event["type"] == "isolate_state"]
    assert [state["round"] for state in states] == list(range(1, len(states) + 1))
    assert states[0]["factors"] == ["tool-result", "streaming"] and len(states[0]["state"]["factors"]) == 2
    last = told[-2]
    assert last["type"] == "isolate_conclusion" and last["answered"] is True
    assert last["stages"][0]["conclusion"]["kind"] == "does-not-fail"
    assert done.returncode == 0
    runs = [event for event in told if event["type"] == "run_ended"]
    assert {run["scenario"] for run in runs} <= {
        "tool-result", "tool-result -result", "tool-result -stream", "tool-result -result -stream"
    }  # fmt: skip
    assert len(runs) == last["requests"]


def test_without_an_answer_the_exit_code_is_4(tmp_path: Path) -> None:
    arguments = ["--demo", "--fault", "rate-limited", "--speed", "200", "--factors", "streaming"]
    done = kmon("isolate", *arguments, "--no-tui", cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    assert "all requests were rate-limited" in done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_the_demonstration_finds_its_cause_and_where_it_is(tmp_path: Path) -> None:
    done = kmon("isolate", "--demo", "--no-tui", cwd=tmp_path)
    sentence = done.stdout.splitlines()[-1]
    assert done.returncode == 0, done.stdout
    assert sentence.startswith("bedrock/kimi-k2.5 fails when the request has a tool result in its history: ")
