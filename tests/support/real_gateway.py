"""One real gateway on loopback: its configuration, its start, its end.

Every way the provider can behave is an agent of its own, whose model's name makes the simulator behave so; a session
of agent ``stall`` is then one whose provider stalls.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import platformdirs

NODE = "24.21.0"
RELEASES = ("2026.9.6", "2026.2.17")
_LIMIT_S = 900
_OVERRIDES: dict[str, dict[str, str]] = {
    # Its libsignal comes from a git host and the newest linkedom wants a package that npm does not have.
    "2026.2.17": {"libsignal": "file:./libsignal-stub", "linkedom": "0.18.12"},
}


class Installed:
    """Where a release and its node are."""

    def __init__(self, release: str, root: Path) -> None:
        self.release = release
        self.node = root / "node" / "node_modules" / "node" / "bin" / "node"
        self.entry = root / release / "node_modules" / "openclaw" / "openclaw.mjs"


def installed(release: str) -> Installed:
    """The release, installed if it was not yet. Raises CalledProcessError with npm's own words on stderr."""
    root = Path(os.environ.get("KMON_REAL_GATEWAY_DIR") or platformdirs.user_cache_path("kmon") / "real-gateway")
    there = Installed(release, root)
    if not there.node.exists():
        _install(root / "node", {"node": NODE}, {}, scripts=True)
    if not there.entry.exists():
        overrides = _OVERRIDES.get(release, {})
        if "libsignal" in overrides:
            _stub(root / release / "libsignal-stub")
        _install(root / release, {"openclaw": release}, overrides, scripts=False)
    return there


def _install(folder: Path, packages: dict[str, str], overrides: dict[str, str], *, scripts: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    package = {"private": True, "dependencies": packages, "overrides": overrides}
    (folder / "package.json").write_text(json.dumps(package))
    arguments = ["npm", "install", "--no-audit", "--no-fund", *([] if scripts else ["--ignore-scripts"])]
    subprocess.run(arguments, cwd=folder, check=True, timeout=_LIMIT_S, stdout=subprocess.DEVNULL)


def _stub(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.js").write_text("module.exports = {}\n")
    (folder / "package.json").write_text(json.dumps({"name": "libsignal", "version": "2.0.0", "main": "index.js"}))


TOKEN = "kmon-test-token"
TOOLED = "tool"
"""The one agent that may use tools; the simulated model calls what it is offered."""
READY_LIMIT_S = 120.0
STOP_LIMIT_S = 40.0


@contextmanager
def running(release: Installed, provider_url: str, models: Mapping[str, str], folder: Path) -> Iterator[str]:
    """The gateway's WebSocket URL while it runs. ``models`` maps an agent's id to its model at ``provider_url``."""
    port = free_port()
    config = folder / "openclaw.json"
    config.write_text(json.dumps(_config(release.release, port, provider_url, models, folder)))
    log = (folder / "gateway.log").open("wb")
    process = subprocess.Popen(
        [str(release.node), str(release.entry), "gateway", "run", "--port", str(port), "--bind", "loopback"],
        cwd=folder,
        env=_environment(release, config, folder),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _wait_ready(process, port, folder / "gateway.log")
        yield f"ws://127.0.0.1:{port}"
    finally:
        _stop(process)
        log.close()


def _config(release: str, port: int, provider_url: str, models: Mapping[str, str], folder: Path) -> dict[str, object]:
    listed = [
        {
            "id": model, "name": model, "reasoning": False, "input": ["text"],
            "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
            "contextWindow": 128_000, "maxTokens": 8_192,
        }
        for model in dict.fromkeys(models.values())
    ]  # fmt: skip
    agents = [
        {
            "id": agent,
            "default": number == 0,
            "model": {"primary": f"sim/{model}"},
            **({} if agent == TOOLED else {"tools": {"deny": ["*"]}}),
        }
        for number, (agent, model) in enumerate(models.items())
    ]
    provider = {"baseUrl": provider_url, "apiKey": "sk-none", "api": "openai-completions", "models": listed}
    plugins: dict[str, object] = {"plugins": {"enabled": False}} if release.startswith("2026.2.") else {}
    return {
        "gateway": {
            "mode": "local", "port": port, "bind": "loopback", "auth": {"mode": "token", "token": TOKEN},
        },
        "models": {"mode": "replace", "providers": {"sim": provider}},
        "agents": {
            "defaults": {
                "model": {"primary": f"sim/{next(iter(models.values()))}"}, "workspace": str(folder / "workspace"),
                "skipBootstrap": True, "heartbeat": {"every": "0m"},
            },
            "list": agents,
        },
        "update": {"checkOnStart": False},
        "discovery": {"mdns": {"mode": "off"}},
        **plugins,
    }  # fmt: skip


def _environment(release: Installed, config: Path, folder: Path) -> dict[str, str]:
    state = folder / "state"
    state.mkdir(exist_ok=True)
    return {
        "PATH": f"{release.node.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "OPENCLAW_STATE_DIR": str(state),
        "OPENCLAW_CONFIG_PATH": str(config),
        **dict.fromkeys(
            (
                "OPENCLAW_SKIP_CHANNELS", "OPENCLAW_SKIP_CRON", "OPENCLAW_DISABLE_BONJOUR", "OPENCLAW_NO_RESPAWN",
                "OPENCLAW_SKIP_BROWSER_CONTROL_SERVER", "OPENCLAW_SKIP_CANVAS_HOST",
            ),
            "1",
        ),
    }  # fmt: skip


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until the port answers HTTP: a gateway that accepts connections may not be ready to serve them."""
    deadline_s = time.monotonic() + READY_LIMIT_S
    while time.monotonic() < deadline_s:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2):
                return
        except urllib.error.HTTPError as refused:
            refused.close()
            return
        except OSError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.25)
                break
    raise RuntimeError(f"the gateway did not come up; its last words: {log.read_text('utf-8', 'replace')[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the gateway and all it started, by its process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
