"""Promises of the command line: bad input is one sentence, JSON keeps its contract, exit codes mean something."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from kmon.dialects.registry import names
from kmon.simulator.profile import built_in
from tests.support.cli import KMON, clean_env, kmon, kmon_process
from tests.support.terminal import Terminal
from tests.support.threaded_provider import chunk, provider

BAD = {
    "unknown target": (["run", "togehter"], "there is no target 'togehter'; did you mean together"),
    "unknown scenario": (["run", "--demo", "--scenario", "coed"], "there is no scenario 'coed'; did you mean code"),
    "missing key": (["run", "together"], "TOGETHER_API_KEY is not set (needed by target together)"),
    "no target, no key": (["run"], "no target was named and no key is set"),
    "negative stall": (["run", "--demo", "--stall", "-1"], "--stall must be"),
    "zero rounds": (["run", "--demo", "--count", "0"], "--count must be"),
    "negative concurrency": (["run", "--demo", "--concurrency", "-3"], "--concurrency must be"),
    "not a number": (["run", "--demo", "--timeout", "soon"], "invalid float value"),
    "zero speed": (["run", "--demo", "--speed", "0"], "--speed must be"),
    "not a speed": (["run", "--demo", "--speed", "nan"], "--speed must be"),
    "not a time to nudge": (["run", "--demo", "--nudge-after", "nan"], "--nudge-after must be"),
    "not a speed for the stuck chat": (["run", "stuck-tui", "--demo", "--speed", "nan"], "--speed must be"),
    "a fallback to nobody": (["run", "--demo", "--fallback", ","], "--fallback must be"),
    "url without model": (["run", "--base-url", "http://127.0.0.1:1"], "--base-url and --model belong together"),
    "model without url": (["run", "--demo", "--model", "m"], "--base-url and --model belong together"),
    "a key without url": (["run", "groq", "--api-key-env", "MINE"], "--api-key-env MINE has no effect"),
    "a key for the demo": (["run", "--demo", "--api-key-env", "MINE"], "no effect without --base-url; give both"),
    "a dialect without url": (["run", "--dialect", "chat"], "no effect without --base-url or --demo"),
    "a dialect of a target": (["run", "groq", "--dialect", "chat"], "no effect on groq: a target has its own dialect"),
    "a dialect of a simulated target": (["run", "--demo", "groq", "--dialect", "chat"], "no effect on groq"),
    "a dialect of the stuck chat": (["run", "--demo", "stuck-tui", "--dialect", "chat"], "no effect on stuck-tui"),
    "no such dialect": (["run", "--demo", "--dialect", "grpc"], "there is no dialect 'grpc'; use one of chat"),
    "a dialect that is not simulated": (
        ["run", "--demo", "--dialect", "ws"], "the simulator has no such dialect; use one of converse, ",
    ),
    "a fault of the stuck chat": (["run", "--demo", "stuck-tui", "--fault", "stall"], "name no other target, scenario"),
    "a session of no gateway": (["run", "--demo", "--session", "main"], "--session main has no effect"),
    "real time in a hurry": (
        ["run", "--base-url", "http://127.0.0.1:1/v1", "--model", "m", "--speed", "2"], "--speed has no effect on real",
    ),
    "real answers that are to repeat": (
        ["run", "--base-url", "http://127.0.0.1:1/v1", "--model", "m", "--seed", "1"], "--seed 1 has no effect on real",
    ),
    "a gateway's key without one": (
        ["proxy", "--to", "groq", "--api-key-env", "MINE"], "--api-key-env MINE has no effect without --gateway",
    ),
    "a fault of other dialects": (
        ["run", "--demo", "bedrock/nova-pro", "--fault", "keepalives-only"],
        "target bedrock/nova-pro: converse cannot have the fault keepalives-only; chat, ",
    ),
    "a fault of some of the targets": (
        ["run", "--demo", "together", "bedrock/nova-pro", "--fault", "crlf"], "converse cannot have the fault crlf",
    ),
    "a fault of another dialect": (
        ["run", "--fault", "crc-error", "--dialect", "chat"], "chat cannot have the fault crc-error; converse can; use",
    ),
    "no such fault": (["run", "--fault", "crc"], "--fault crc: unknown fault 'crc'; the faults are"),
    "gateway without ws": (["gateway", "http://127.0.0.1:1"], "the gateway's URL must begin with ws://"),
    "gateway target as url": (["gateway", "together"], "the gateway's URL must begin with ws://"),
    "ws without ws url": (["run", "--base-url", "http://h", "--dialect", "ws"], "--base-url must begin with ws://"),
    "watch for nothing": (["gateway", "--for", "0"], "--for must be above 0"),
    "tools at a gateway": (["run", "gateway", "--scenario", "code-tools"], "cannot be carried by the openclaw dialect"),
    "gateway on the simulator": (["run", "gateway", "--demo"], "cannot be raced on the simulated provider"),
    "not a url": (["run", "--base-url", "localhost:1", "--model", "m"], "--base-url"),
    "key inside a url": (["run", "--base-url", "http://u:hunter2@h/v1", "--model", "m"], "--base-url"),
    "unknown profile": (["run", "--demo", "--profile", "nope"], "nope"),
    "unknown flag": (["run", "--dmeo"], "unrecognized arguments: --dmeo"),
    "unreadable cassette": (["decode", "missing.yaml"], "missing.yaml"),
    "unreadable replay": (["replay", "missing.yaml"], "missing.yaml"),
    "a pass rate above 1": (["test", "--demo", "--fail-under", "7"], "--fail-under must be from 0 to 1, not 7"),
    "a policy against itself": (
        ["run", "--demo", "--first-token-timeout", "400"],
        "first_token_timeout_s 400 (--first-token-timeout) and timeout_s 300 (default) do not fit together",
    ),
    "a fallback to itself": (["run", "--demo", "together", "--fallback", "together"], "cannot fall back to itself"),
    "no such fallback": (["run", "--demo", "--fallback", "nobody"], "there is no target 'nobody'"),
    "a fallback without a key": (
        ["run", "--base-url", "http://127.0.0.1:1/v1", "--model", "m", "--fallback", "groq"],
        "GROQ_API_KEY is not set (needed by target groq)",
    ),
    "too many retries": (
        ["run", "--demo", "together", "--retries", "2", "--max-requests", "2"],
        "this would send 3 requests, more than --max-requests 2",
    ),
    "too many requests": (["run", "--demo", "--count", "9", "--max-requests", "10"], "more than --max-requests 10"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(case: str, tmp_path: Path) -> None:
    arguments, words = BAD[case]
    done = kmon(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("kmon: ") and words in lines[0], done.stderr
    assert "Traceback" not in done.stderr and "hunter2" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[defaults\n", "line 1"),
        ("[defaults]\nstall_s = -2\n", "line 2"),
        ("[targets.together]\nmodell = 'x'\n", "line 2"),
        ("[scenarios.mine]\ntitle = 3\n", "line 2"),
    ],
)
def test_a_broken_kmon_toml_is_named_with_its_line(toml: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "kmon.toml").write_text(toml)
    done = kmon("targets", cwd=tmp_path)
    assert done.returncode == 2
    assert "kmon.toml" in done.stderr and words in done.stderr and len(done.stderr.splitlines()) == 1


def test_an_unknown_theme_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with Terminal(["--demo", "--theme", "nope"], cwd=tmp_path) as terminal:
        assert terminal.ended() == 2
    assert b"kmon: " in terminal.raw and b"kmon-dark" in terminal.raw
    assert b"\x1b[?1049h" not in terminal.raw


def test_a_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = kmon("sim", "--port", str(taken.getsockname()[1]), cwd=tmp_path)
    assert done.returncode == 2
    assert "is in use" in done.stderr


def test_a_process_of_its_own_ends_with_the_same_words_and_codes(tmp_path: Path) -> None:
    """The other tests here run their command in this process."""
    for arguments in (["run", "togehter"], ["run", "--dmeo"], ["run", "--help"], ["--version"]):
        theirs, ours = kmon_process(*arguments, cwd=tmp_path), kmon(*arguments, cwd=tmp_path)
        assert (theirs.returncode, theirs.stdout, theirs.stderr) == (ours.returncode, ours.stdout, ours.stderr)


@pytest.mark.parametrize("command", ["", "run", "targets", "decode", "replay", "sim", "config", "scenarios", "doctor"])
def test_version_and_help_answer(command: str, tmp_path: Path) -> None:
    done = kmon(*command.split(), "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("usage: kmon")
    assert kmon("--version", cwd=tmp_path).stdout.startswith("kmon 0.")


@pytest.mark.parametrize(("command", "shell", "why"), [
    ("targets", ">&-", "it is closed"), ("targets", ">/dev/full", "No space left on device"),
    ("--help", ">/dev/full", "No space left on device"),
])  # fmt: skip
def test_a_stdout_that_takes_nothing_is_a_sentence(command: str, shell: str, why: str, tmp_path: Path) -> None:
    done = kmon_process(command, cwd=tmp_path, shell=shell)
    assert (done.returncode, done.stderr) == (3, f"kmon: cannot write to stdout: {why}\n")


@pytest.mark.parametrize("shell", ["2>&-", "2>/dev/full"])
def test_a_stderr_that_takes_nothing_leaves_the_exit_code_and_stdout_alone(shell: str, tmp_path: Path) -> None:
    done = kmon_process("run", "togehter", cwd=tmp_path, shell=shell)
    assert (done.returncode, done.stdout) == (2, "")


def test_help_names_every_profile_and_every_dialect_that_can_be_asked(tmp_path: Path) -> None:
    said = " ".join(kmon("sim", "--help", cwd=tmp_path).stdout.split())
    assert all(name in said for name in built_in())
    said = " ".join(kmon("run", "--help", cwd=tmp_path).stdout.split())
    assert ", ".join(names()) in said


def test_json_keeps_its_contract(tmp_path: Path) -> None:
    with provider(chunk("Hello "), chunk("there", "stop")) as server:
        done = kmon("run", "--base-url", server.url, "--model", "m", "--count", "2", "--json", cwd=tmp_path)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert events[0]["type"] == "race_started"
    assert {"targets", "scenario", "count", "t_ns"} <= events[0].keys()
    assert events[-1]["type"] == "race_ended"
    assert (events[-1]["ok"], events[-1]["failed"]) == (2, 0)
    ended = [event for event in events if event["type"] == "run_ended"]
    assert set(ended[0]) >= {
        "run", "target", "attempts", "state", "signature", "evidence", "error", "ttft_ms", "max_gap_ms", "stalls",
        "chunks", "text", "reasoning", "tool_calls", "finish_reason", "usage", "response_id", "request_ids",
    }  # fmt: skip
    assert [event["text"] for event in ended] == ["Hello there"] * 2
    deltas = [event for event in events if event["type"] == "delta" and event["run"] == ended[0]["run"]]
    assert [(delta["kind"], delta["text"]) for delta in deltas] == [("text", "Hello "), ("text", "there")]
    assert all({"run", "attempt", "t_ns", "kind", "text"} <= delta.keys() for delta in deltas)


def test_a_failed_run_is_exit_code_1_with_the_error_spelled_out(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        done = kmon("run", "--base-url", url, "--model", "m", "--json", cwd=tmp_path)
    ended = [json.loads(line) for line in done.stdout.splitlines() if '"run_ended"' in line]
    assert done.returncode == 1
    assert (ended[0]["state"], ended[0]["error"]["kind"], ended[0]["error"]["status"]) == ("failed", "connect", None)


def test_lines_hold_no_control_codes_when_stdout_is_no_terminal(tmp_path: Path) -> None:
    with provider(chunk("\x1b[31mred"), chunk(" text", "stop")) as server:
        done = kmon("--base-url", server.url, "--model", "m", cwd=tmp_path)
    assert done.returncode == 0
    assert "✔ done" in done.stdout
    assert not set(done.stdout) & {chr(code) for code in range(32) if chr(code) != "\n"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_race_closes_its_sockets_and_keeps_what_it_measured(number: int, tmp_path: Path) -> None:
    with provider(chunk("kept words"), hold=True) as server:
        process = subprocess.Popen(
            [*KMON, "run", "--base-url", server.url, "--model", "m", "--json"],
            cwd=tmp_path,
            env=clean_env(tmp_path),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(json.loads(line))
            if lines[-1]["type"] == "delta":
                process.send_signal(number)
        assert process.wait(20) == 130
        process.stdout.close()
        assert server.closed.wait(10)
    ended = next(event for event in lines if event["type"] == "run_ended")
    assert (ended["state"], ended["text"]) == ("cancelled", "kept words")
    assert lines[-1] | {"t_ns": 0} == lines[-1] | {"t_ns": 0, "type": "race_ended", "interrupted": True}


def test_a_reader_that_leaves_is_no_traceback(tmp_path: Path) -> None:
    with provider(*[chunk("word ")] * 200, chunk("x", "stop")) as server:
        arguments = ("run", "--base-url", server.url, "--model", "m", "--json")
        done = kmon_process(*arguments, cwd=tmp_path, shell="| head -n 2")
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_settings_say_where_they_come_from(tmp_path: Path) -> None:
    (tmp_path / "kmon.toml").write_text("[defaults]\nstall_s = 3\n")
    (tmp_path / ".env").write_text("KMON_TIMEOUT_S=77\n")
    done = kmon("config", cwd=tmp_path, env={"KMON_FPS": "7"})
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "kmon.toml line 2" in lines["stall_s"]
    assert "77.0" in lines["timeout_s"] and ".env" in lines["timeout_s"]
    assert "KMON_FPS" in lines["fps"]
    assert "default" in lines["theme"]


def test_the_four_rows_of_the_field_report_stall_only_with_tools_on_together(tmp_path: Path) -> None:
    done = kmon(
        "run", "--demo", "together", "fireworks", "--scenario", "code,code-tools", "--speed", "20", "--stall", "0.5",
        "--json", cwd=tmp_path,
    )  # fmt: skip
    ended = [json.loads(line) for line in done.stdout.splitlines() if '"type":"run_ended"' in line]
    assert len(ended) == 4
    stalled = {(run["target"], run["scenario"]) for run in ended if run["stalls"]}
    assert stalled == {("together", "code-tools")}
    assert {run["state"] for run in ended} == {"done"}


def test_a_chain_is_told_turn_by_turn_in_lines(tmp_path: Path) -> None:
    told = kmon("run", "--demo", "openrouter", "--scenario", "tool-chain:2", "--speed", "20", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "tool results sent, request 3 of the conversation started" in told.stdout


@pytest.mark.slow
def test_retries_and_a_fallback_are_told_in_json(tmp_path: Path) -> None:
    options = ["--profile", "retries", "--speed", "20", "--scenario", "minimal", "--retry-base", "0.1", "--json"]
    policy = ["--retries", "2", "--first-token-timeout", "2", "--fallback", "mistral"]
    done = kmon("run", "together", "fireworks", "groq", *options, *policy, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["policy"]["retries"] == 2 and events[0]["policy"]["fallback"] == ["mistral"]
    told = [(e["run"], e["role"], e["number"]) for e in events if e["type"] == "retry_scheduled"]
    assert sorted(told) == [
        ("r1.1", "retry", 1),
        ("r1.1", "retry", 2),
        ("r1.2", "retry", 1),
        ("r1.3", "fallback", 1),
        ("r1.3", "retry", 1),
        ("r1.3", "retry", 2),
    ]
    ended = {
        e["target"]: (e["state"], e["attempts"], e.get("fallback_target")) for e in events if e["type"] == "run_ended"
    }
    assert ended == {"together": ("done", 3, None), "fireworks": ("done", 2, None), "groq": ("done", 4, "mistral")}


def test_a_test_retries_nothing_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "kmon.toml").write_text("[policy]\nretries = 3\n")
    done = kmon(
        "test", "together", "--profile", "retries", "--scenario", "minimal", "--count", "1", "--json", cwd=tmp_path
    )
    assert "a test tries nothing again" in done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["attempts"] for e in events if e["type"] == "run_ended"] == [1]


def test_the_seed_of_a_test_of_real_providers_is_used(tmp_path: Path) -> None:
    aimed = ("--base-url", "http://127.0.0.1:1/v1", "--model", "m", "--scenario", "minimal", "--count", "1")
    tried = kmon("test", *aimed, "--seed", "2", cwd=tmp_path)
    assert tried.returncode == 1 and "no effect" not in tried.stderr
