"""Promises about what an alert sets off: real programs and a real server, all of it bounded, none of it fatal."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from kmon.engine.alert_hooks import AT_ONCE, WAITING, AlertHookRunner, AlertHooks
from kmon.stream.events import Notice
from kmon.stream.target_events import Alert
from tests.support.scripted_provider import provider, writing

ALERT = Alert(7, "together", "consecutive-failures", 5, 5, 12, "together: 5 streams in a row failed")
PYTHON = Path(sys.executable).name
ANSWER = b"HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n%s\r\n"


def program(*lines: str) -> tuple[str, str, str]:
    return sys.executable, "-c", "\n".join(lines)


async def notices_of(plan: AlertHooks, *, alerts: int = 1, patience_s: float | None = 20.0) -> list[str]:
    said: list[Notice] = []
    alarm = AlertHookRunner(plan, said.append)
    for _ in range(alerts):
        alarm.start(ALERT)
    await alarm.close(patience_s)
    assert all(notice.level == "warning" for notice in said)
    return [notice.message for notice in said]


async def test_a_program_gets_the_alert_as_one_line_of_json_on_stdin(tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = program("import sys", f"open({str(told)!r}, 'w').write(sys.stdin.read())")
    assert await notices_of(AlertHooks(command)) == []
    line, rest = told.read_text().split("\n")
    assert rest == ""
    assert json.loads(line) == {
        "type": "alert",
        "t_ns": 7,
        "target": "together",
        "rule": "consecutive-failures",
        "figure": 5,
        "threshold": 5,
        "streams": 12,
        "sentence": "together: 5 streams in a row failed",
    }


async def test_arguments_are_arguments_and_no_shell_reads_them(tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = (*program("import sys", f"open({str(told)!r}, 'w').write(sys.argv[1])"), "$HOME; `id` && x")
    assert await notices_of(AlertHooks(command)) == []
    assert told.read_text() == "$HOME; `id` && x"


async def test_a_program_sees_what_it_needs_of_the_environment_and_works_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    for name in ("GITHUB_TOKEN", "ANTHROPIC_API_KEY", "GROQ_API_KEY", "DATABASE_URL", "KMON_ALERT_WEBHOOK"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LC_MESSAGES", "C")
    command = program(
        "import os, json", f"open({str(told)!r}, 'w').write(json.dumps([os.getcwd(), *os.environ.items()]))"
    )
    await notices_of(AlertHooks(command))
    where, *seen = json.loads(told.read_text())
    assert where == str(tmp_path)
    assert dict(seen)["LC_MESSAGES"] == "C" and dict(seen)["PATH"] == os.environ["PATH"]
    assert not [name for name, value in seen if "canary" in value]


async def test_a_program_that_fails_is_said_with_its_last_word_made_harmless() -> None:
    command = program("import sys", r"sys.exit('first\n\x1b[2Jlast \u202eword')")
    (said,) = await notices_of(AlertHooks(command))
    assert said == f"the alert command {PYTHON!r} ended with exit code 1: [2Jlast word"


async def test_a_program_that_writes_without_end_is_bounded_in_what_is_kept() -> None:
    command = program("import sys", "sys.stderr.write('x' * 3_000_000)", "sys.exit(3)")
    (said,) = await notices_of(AlertHooks(command))
    assert said.endswith("exit code 3: " + "x" * 160)


async def test_a_program_that_closes_its_stdin_unread_is_no_trouble() -> None:
    assert await notices_of(AlertHooks(program("import os", "os.close(0)"))) == []


async def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    command = program(
        "import os, subprocess, sys, time",
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])",
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')",
        "time.sleep(600)",
    )
    (said,) = await notices_of(AlertHooks(command, limit_s=3.0))
    assert said == f"the alert command {PYTHON!r} had not ended after 3 s and was killed"
    for pid in map(int, pids.read_text().split()):
        await gone(pid)


async def gone(pid: int) -> None:
    """Wait until a process is dead; one whose parent has not waited for it yet counts as dead."""
    async with asyncio.timeout(20):
        while True:
            try:
                os.kill(pid, 0)
                if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    return
            except (ProcessLookupError, FileNotFoundError):
                return
            await asyncio.sleep(0.02)


async def test_a_program_that_is_gone_by_now_is_said() -> None:
    (said,) = await notices_of(AlertHooks(("/nonexistent/notify",)))
    assert said == "the alert command 'notify' cannot be started: No such file or directory"


async def test_few_run_at_once_few_wait_and_one_too_many_is_said(tmp_path: Path) -> None:
    command = program(
        "import os, sys, time",
        f"os.chdir({str(tmp_path)!r})",
        "open(f'{os.getpid()}', 'w').close()",
        "running = len(os.listdir())",
        "time.sleep(0.05)",
        "os.remove(f'{os.getpid()}')",
        f"sys.exit(running > {AT_ONCE})",
    )
    said = await notices_of(AlertHooks(command), alerts=WAITING + 2, patience_s=60.0)
    assert said == ["too many alerts at once: one was not passed on"] * 2


async def test_leaving_does_not_wait_for_what_hangs(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    command = program("import os, time", f"open({str(started)!r}, 'w').write(str(os.getpid()))", "time.sleep(600)")
    alarm = AlertHookRunner(AlertHooks(command), lambda _: None)
    alarm.start(ALERT)
    async with asyncio.timeout(20):
        while not (started.exists() and started.read_text()):
            await asyncio.sleep(0.01)
    await alarm.close(0)
    await gone(int(started.read_text()))


async def test_a_webhook_gets_the_alert_as_json_and_nothing_else_of_the_user() -> None:
    async with provider(writing(ANSWER % (b"204 No Content", b""))) as seen:
        assert await notices_of(AlertHooks(webhook=f"{seen.url}/hooks/s3cret?x=1")) == []
        (asked,) = seen.asked
    assert asked.target == "/hooks/s3cret?x=1"
    assert asked.body["sentence"] == "together: 5 streams in a row failed"
    assert asked.headers["content-type"] == "application/json"
    assert "authorization" not in asked.headers
    assert "cookie" not in asked.headers


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (ANSWER % (b"500 Internal Server Error", b""), "answered HTTP 500"),
        (ANSWER % (b"302 Found", b"location: /elsewhere\r\n"), "answered HTTP 302"),
        (b"nonsense\r\n\r\n", "could not be reached: RemoteProtocolError"),
        (b"", "could not be reached: RemoteProtocolError"),
    ],
)
async def test_a_webhook_that_refuses_is_said_by_its_host_alone(answer: bytes, problem: str) -> None:
    async with provider(writing(answer)) as seen:
        (said,) = await notices_of(AlertHooks(webhook=f"{seen.url}/hooks/s3cret"))
        assert len(seen.asked) == 1  # a redirect is not followed
    assert said == f"the alert webhook at {seen.url.removeprefix('http://')} {problem}"


async def test_a_webhook_that_hangs_is_given_up() -> None:
    async with provider(writing(b"HTTP/1.1 200", hold=True)) as seen:
        (said,) = await notices_of(AlertHooks(webhook=f"{seen.url}/s3cret", limit_s=0.3))
        assert said.endswith("had not answered after 0.3 s")
        await asyncio.wait_for(seen.left.wait(), 20)


def test_a_plan_does_not_show_the_webhooks_path() -> None:
    plan = AlertHooks(("notify", "--token", "t0ken"), "https://hooks.example.com/s3cret", {"A_KEY": "k3y"})
    assert repr(plan) == "AlertHooks('notify', 'hooks.example.com')"
