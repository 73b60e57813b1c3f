"""Promises about kmon's processes: nothing of the current directory runs in them, and they see what they need only."""

from __future__ import annotations

import ast
import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kmon.engine.plan import Keys, RacePlan
from kmon.engine.process import EngineProcess
from kmon.openclaw.simulated.embedded import EmbeddedGateway
from kmon.process import spawn
from kmon.simulator.embedded import Embedded

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NAMES = ("msgspec", "enum", "logging", "token", "types", "json", "asyncio", "ssl", "socket", "httpx", "httpcore",
         "anyio", "random", "yaml", "certifi", "h11", "selectors", "signal", "tempfile", "argparse",
         "dataclasses", "sitecustomize", "usercustomize", "typing_extensions", "email", "http")  # fmt: skip
"""Modules that an interpreter of kmon's imports sooner or later, and those that ``site`` does."""
NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc, which only Linux has")
ENGINE = """
import asyncio, os, sys
from kmon.engine.process import EngineProcess
from kmon.engine.plan import Keys, RacePlan
async def main():
    os.environ["PYTHONPATH"] = sys.argv[1]
    engine = await EngineProcess.start(RacePlan(rows=()), Keys({}))
    async for batch in engine.batches():
        print([type(event).__name__ for event in batch])
        break
    await engine.close()
asyncio.run(main())
"""


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A directory whose files would run in place of modules: each leaves its name in ``ran`` and ends its process."""
    project = tmp_path / "project"
    project.mkdir()
    for name in NAMES:
        body = f"import os\nopen({str(tmp_path / 'ran')!r}, 'a').write({name!r} + chr(10))\nos._exit(66)\n"
        (project / f"{name}.py").write_text(body)
    return project


def environ(path: str | None = None, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return kept | ({"PYTHONPATH": path} if path is not None else {}) | more


PATHS = pytest.mark.parametrize("path", [f"{ROOT}", f"{ROOT}:", f"{ROOT}::.", f"{ROOT}:HERE"])
"""Where the import path of the user has the current directory: nowhere, as a blank entry, as a dot, by name."""


@PATHS
def test_the_engine_runs_no_file_of_the_directory_it_is_started_in(path: str, hostile: Path) -> None:
    command = [sys.executable, "-P", "-c", ENGINE, path.replace("HERE", str(hostile))]
    done = subprocess.run(
        command, cwd=hostile, env=environ(str(ROOT)), capture_output=True, text=True, timeout=60, check=False
    )
    assert not (hostile.parent / "ran").exists(), (hostile.parent / "ran").read_text()
    assert "RaceStarted" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("safe", [True, False])
def test_a_race_on_the_simulator_runs_no_file_of_the_directory(safe: bool, hostile: Path) -> None:
    """``python -m kmon`` as well, but for the modules that Python itself imports to find what ``-m`` names."""
    for name in () if safe else ("types",):
        (hostile / f"{name}.py").unlink()
    command = [
        sys.executable,
        *(["-P"] if safe else []),
        "-m",
        "kmon",
        "run",
        "--demo",
        "groq",
        "--speed",
        "50",
        "--json",
    ]
    done = subprocess.run(
        command, cwd=hostile, env=environ(str(ROOT)), capture_output=True, text=True, timeout=60, check=False
    )
    assert not (hostile.parent / "ran").exists(), (hostile.parent / "ran").read_text()
    assert done.stdout.splitlines()[-1].startswith('{"type":"race_ended"'), done.stderr


@NEEDS_PROC
async def test_no_process_of_kmons_own_sees_a_variable_it_does_not_need(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_TOKEN", "ANTHROPIC_API_KEY", "TOGETHER_API_KEY", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL",
                 "OPENCLAW_GATEWAY_TOKEN", "HTTPS_PROXY", "no_proxy", "KMON_ALERT_WEBHOOK"):  # fmt: skip
        monkeypatch.setenv(name, "canary-0123456789")
    engine = await EngineProcess.start(RacePlan(rows=()), Keys({}))
    async with Embedded() as simulator, EmbeddedGateway(("a",), provider_urls=[simulator.origin]) as gateway:
        for pid in (engine.pid, simulator.pid, gateway.pid):
            process = Path(f"/proc/{pid}")
            assert b"canary" not in process.joinpath("environ").read_bytes()
            assert b"canary" not in process.joinpath("cmdline").read_bytes()
            assert process.joinpath("cwd").readlink() == Path(spawn.SAFE_DIRECTORY)
    await engine.close()


async def test_the_engine_is_told_of_proxies_by_its_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hunter2@127.0.0.1:9")
    monkeypatch.setenv("GITHUB_TOKEN", "canary")
    assert spawn.sent_by_pipe(os.environ)["HTTPS_PROXY"] == "http://user:hunter2@127.0.0.1:9"
    assert "GITHUB_TOKEN" not in spawn.sent_by_pipe(os.environ)


def test_a_file_named_relative_to_the_users_directory_is_found_from_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("[[rule]]\nfault = 'hang-mid-stream'\n")
    script = "import os, sys; print(os.environ['SSL_CERT_FILE'], os.getcwd(), flush=True); sys.stdin.read()"

    async def seen() -> bytes:
        (tmp_path / "shown").mkdir()
        (tmp_path / "shown" / "told.py").write_text(script)
        process = await spawn.measuring(
            "told", {"SSL_CERT_FILE": "mine.pem", "PYTHONPATH": str(tmp_path / "shown"), "PATH": os.environ["PATH"]}, {}
        )
        assert process.stdout is not None
        line = await process.stdout.readline()
        await process.communicate(b"")
        return line

    assert asyncio.run(seen()).decode().split() == [str(tmp_path / "mine.pem"), spawn.SAFE_DIRECTORY]
    with Embedded("mine.toml").running() as simulator:
        assert simulator.port


def test_the_current_directory_is_on_no_import_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert spawn.import_path(["", ".", "lib", str(tmp_path), f"{tmp_path}/", str(tmp_path / "link"), "/opt/lib"]) == [
        "/opt/lib"
    ]


STARTERS = {
    "subprocess": {"Popen", "run", "call", "check_call", "check_output", "getoutput", "getstatusoutput"},
    "asyncio": {"create_subprocess_exec", "create_subprocess_shell"},
    "os": {"system", "popen", "fork", "forkpty", "startfile"},
    "pty": {"spawn", "fork"},
}


def test_processes_are_started_in_one_module_only() -> None:
    found = []
    for path in sorted((ROOT / "kmon").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[tuple[str, str]] = []
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                names = [(node.value.id, node.attr)]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "", alias.name) for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [(alias.name, "") for alias in node.names if alias.name == "multiprocessing"]
            for module, name in names:
                starts = name in STARTERS.get(module, ()) or module.startswith("multiprocessing")
                starts |= module == "os" and name.startswith(("exec", "spawn", "posix_spawn"))
                starts |= module == "concurrent.futures" and name == "ProcessPoolExecutor"
                if starts:
                    found.append((path.relative_to(ROOT).as_posix(), name))
    assert {file for file, _ in found if file != "kmon/process/parent_death.py"} == {"kmon/process/spawn.py"}
    # a script that becomes the program it is a step to, and starts nothing else
    assert {name for file, name in found if file == "kmon/process/parent_death.py"} == {"execvp"}


def test_every_interpreter_is_started_with_a_safe_path() -> None:
    started = [
        line.strip()
        for path in sorted((ROOT / "kmon").rglob("*.py"))
        for line in path.read_text().splitlines()
        if "sys.executable" in line
    ]
    assert len(started) == 2
    assert all('sys.executable, "-P"' in line or 'sys.executable, "-I"' in line for line in started)
