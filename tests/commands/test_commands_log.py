"""Promises about kmon's own errors: each leaves its traceback in the log, which holds no secret and which is named.

A module that every interpreter imports at its start breaks one function in all of kmon's processes. What it raises
holds a key and a piece of content, in its message and in the variables around it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.commands.test_commands_canary import CANARY, ROOT, Place, place
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow

__all__ = ["place"]

BREAK = """
import importlib, os, sys
def broken(*arguments, **named):
    heard = "-".join(("canary", "content", "0123456789ab"))
    key = "-".join(("canary", "mine", "0123456789ab"))
    fake = "".join(("for", "ged"))
    raise {kind}(f"cannot take {{heard}} of {{key}}\\x1b[31m\\n2026-01-01T00:00:00.000Z ERROR {{fake}}")
async def broken_later(*arguments, **named):
    broken()
async def broken_stream(*arguments, **named):
    broken()
    yield
module, _, name = {where!r}.partition(":")
*path, last = name.split(".")
if "kmon" in " ".join(sys.orig_argv):
    owner = importlib.import_module(module)
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, last, {how})
"""
RUN = ("run", "mine", "--timeout", "20")
SIMULATED = ("run", "--demo", "groq", "--speed", "50", "--timeout", "20")
WRAP = ("wrap", "--to", "{mine}/v1", "--json", "record", "--", sys.executable, "-c",
        "import httpx, os\ntry: httpx.post(os.environ['OPENAI_BASE_URL'] + '/chat/completions', json={}, timeout=10)\n"
        "except httpx.HTTPError: pass")  # fmt: skip
FAILING: dict[str, tuple[tuple[str, ...], str, str, int | None, str]] = {
    # what: arguments, what is broken, how, the exit code, what the user is told
    "a command": (("scenarios",), "kmon.commands.scenarios:run", "broken", 3, "kmon itself failed: {kind} in "),
    "a parser": (("scenarios",), "kmon.commands.scenarios:arguments", "broken", 3, "kmon itself failed: {kind}"),
    "the settings": (("config",), "kmon.config.sources:load_settings", "broken", 3, "kmon itself failed: {kind}"),
    "doctor": (("doctor", "mine"), "kmon.doctor.conclusion:examine", "broken_later", 3, "kmon itself failed: {kind}"),
    "an attempt": (RUN, "kmon.probe.recorder:AttemptRecorder.record", "broken", 1,
                   "kmon itself failed in this attempt: {kind}"),
    "a run": (RUN, "kmon.engine.supervisor:Supervisor._record_end", "broken", 1, "kmon failed inside a run: {kind}"),
    "the rounds of a race": (RUN, "kmon.engine.supervisor:Supervisor._round", "broken_later", 1,
                             "kmon failed between the runs: {kind}"),
    "the start of an experiment": (("test", "mine", "--count", "3"), "kmon.engine.supervisor:prepare", "broken_later",
                                   1, "kmon failed between the runs: {kind}"),
    "work beside the runs": (RUN, "kmon.engine.supervisor:watch_lag", "broken_later", 1,
                             "kmon failed beside the runs: {kind}"),
    "an alert": (("run", "mine", "--count", "3"), "kmon.engine.alert_hooks:AlertHookRunner._run", "broken_later", 1,
                 ""),
    "a connection of the proxy": (WRAP, "kmon.proxy.relay.connection:Connection._first_request", "broken_later", 0,
                                  "kmon itself failed in a connection: {kind}"),
    "a thread": (WRAP, "kmon.output.record:Record._write_batches", "broken", 0, ""),
    "the simulator's process": (SIMULATED, "kmon.simulator.serve:listening", "broken", 3,
                                "the simulator did not start"),
    "the simulator's answer": (SIMULATED, "kmon.simulator.server:Simulator._serve", "broken_later", 1, ""),
    "a gateway's answer": (("run", "--demo", "stuck-tui", "--speed", "30"),
                           "kmon.openclaw.simulated.methods:Methods.answer", "broken_later", None, ""),
}  # fmt: skip


def break_with(place: Place, where: str, how: str, kind: str = "RuntimeError") -> dict[str, str]:
    """The environment in which every process of kmon's is broken there."""
    broken = place.home / "broken"
    broken.mkdir(exist_ok=True)
    (broken / "sitecustomize.py").write_text(BREAK.format(where=where, how=how, kind=kind))
    return place.environ | {"PYTHONPATH": f"{broken}{os.pathsep}{ROOT}"}


def logged(place: Place) -> str:
    path = place.home / ".local" / "state" / "kmon" / "kmon.log"
    return path.read_text() if path.exists() else ""


async def run(place: Place, environ: dict[str, str], arguments: tuple[str, ...]) -> tuple[int | None, str]:
    filled = [word.replace("{mine}", place.mine) for word in arguments]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "kmon", *filled,
        cwd=place.project, env=environ,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    printed = b""
    try:
        async with asyncio.timeout(60):
            while data := await process.stdout.read(65536):
                printed += data
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, printed.decode()


@pytest.mark.parametrize("name", FAILING)
async def test_an_error_of_kmons_own_is_logged_and_told_without_a_secret(name: str, place: Place) -> None:
    arguments, where, how, code, told = FAILING[name]
    ended, printed = await run(place, break_with(place, where, how), arguments)
    log = logged(place)
    assert "RuntimeError (a message of " in log, printed + log
    assert "sitecustomize.py" in log and "raise RuntimeError(" in log
    assert CANARY.findall(log.encode()) == [] and "forged" not in log and "\x1b" not in log
    assert CANARY.findall(printed.encode()) == [] and "Traceback" not in printed
    assert all(line.startswith(("20", "    ")) for line in log.splitlines())
    assert told.format(kind="RuntimeError") in printed
    assert not told or "details in ~/.local/state/kmon/kmon.log" in printed, printed
    assert code is None or ended == code, printed


@pytest.mark.parametrize("broken", ["the engine", "the engine's end", "the screen", "a worker"])
async def test_an_error_under_the_screen_is_logged_and_told_when_it_is_gone(broken: str, place: Place) -> None:
    where, how = {
        "the engine": ("kmon.engine.supervisor:Supervisor.start", "broken"),
        "the engine's end": ("kmon.engine.event_queue:EventQueue.batches", "broken_stream"),
        "the screen": ("kmon.tui.app:KmonApp.tell", "broken"),
        "a worker": ("kmon.tui.event_reader:EventReader._take", "broken_later"),
    }[broken]
    environ = break_with(place, where, how)

    def watched() -> str:
        with Terminal(["--demo", "groq", "--speed", "20"], cwd=place.project, env=environ) as terminal:
            if broken != "the screen":
                awaited = "the engine ended by itself with code 1" if broken == "the engine" else "RuntimeError"
                terminal.until(lambda _: awaited in logged(place), "the log")
                terminal.press("q")
            terminal.ended()
            return bytes(terminal.raw).decode("utf-8", "replace")

    drawn = await asyncio.to_thread(watched)
    log = logged(place)
    assert "RuntimeError (a message of " in log, log
    assert CANARY.findall(log.encode()) == [] and CANARY.findall(drawn.encode()) == []
    if broken == "the screen":
        assert "the screen failed: RuntimeError in " in drawn
        assert "details in ~/.local/state/kmon/kmon.log" in drawn.replace("\r\n", "")


async def test_debugging_shows_the_traceback_and_logs_the_facts(place: Place) -> None:
    environ = break_with(place, "kmon.commands.scenarios:run", "broken")
    code, printed = await run(place, environ | {"KMON_DEBUG": "1"}, ("scenarios",))
    assert code == 3 and "raise RuntimeError(" in printed and CANARY.findall(printed.encode()) == []
    code, printed = await run(place, place.environ | {"KMON_DEBUG": "1"}, RUN)
    assert "connected to 127.0.0.1 port" in logged(place) and "connected to" not in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ("--log-level", "info", "--log-file", "own.log", "config"),
        ("--log-level=info", "config", "--log-file=own.log"),
        ("config", "--log-level", "info", "--log-file", "own.log"),
    ],
)
async def test_the_options_stand_before_or_after_the_commands_name(arguments: tuple[str, ...], place: Place) -> None:
    code, printed = await run(place, place.environ, arguments)
    assert code == 0 and (place.project / "own.log").exists()
    line = next(line for line in printed.splitlines() if line.startswith("log "))
    assert line.split()[1:] == ["info", str(place.project / "own.log")]


async def test_the_options_of_a_wrapped_program_are_its_own(place: Place) -> None:
    command = (sys.executable, "-c", "import sys; print(sys.argv[1:])", "--log-level", "loud")
    code, printed = await run(place, place.environ, ("--log-level", "error", "wrap", "--to", "mine", "--", *command))
    assert code == 0 and "['--log-level', 'loud']" in printed


@pytest.mark.parametrize("wrong", [("--log-level", "loud"), ("--log-file", "/dev/null"), ("--log-level",)])
async def test_what_cannot_be_is_one_sentence(wrong: tuple[str, ...], place: Place) -> None:
    for arguments in ((*wrong, "config"), ("config", *wrong)):
        code, printed = await run(place, place.environ, arguments)
        assert code == 2 and printed.count("\n") == 1 and wrong[0] in printed


async def test_a_home_that_takes_nothing_stops_nobody(place: Place, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    code, printed = await run(place, place.environ | {"HOME": str(nowhere)}, ("scenarios",))
    assert code == 0 and printed
    environ = break_with(place, "kmon.commands.scenarios:run", "broken") | {"HOME": str(nowhere)}
    code, printed = await run(place, environ, ("scenarios",))
    assert code == 3 and "it could not be logged (No such file or directory)" in printed and not nowhere.exists()
