"""Promise of every command: a key is found where it was put and at the host it is for, and nowhere else.

Canaries lie in the environment, in ``.env``, in both configuration files and in the AWS files. A provider says each key
back that it is sent. Looked at: environment and command line of every process that kmon starts, stdout and stderr, what
was drawn on a terminal, every file that was written, and what came over the wire elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kmon import cli
from tests.support.loopback import END, HEAD, chunked, serving
from tests.support.terminal import Terminal

ROOT = Path(__file__).parents[2]
CANARY = re.compile(rb"canary-[a-z]+-[0-9a-f]{12}")
IN_ENVIRONMENT = {
    "MINE_KEY": "canary-mine-0123456789ab",
    "GITHUB_TOKEN": "canary-github-0123456789ab",
    "TOGETHER_API_KEY": "canary-together-0123456789ab",
    "AWS_SECRET_ACCESS_KEY": "canary-secret-0123456789ab",
    "AWS_SESSION_TOKEN": "canary-session-0123456789ab",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "OPENCLAW_GATEWAY_TOKEN": "canary-gateway-0123456789ab",
    "HTTPS_PROXY": "http://user:canary-proxy-0123456789ab@127.0.0.1:9",
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc, which only Linux has"),
]


@dataclass
class Place:
    """A home and a project with canaries in all their files, and two servers."""

    home: Path
    project: Path
    mine: str
    other: str
    sent_mine: list[bytes] = field(default_factory=list)
    sent_other: list[bytes] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        usual = {"HOME": str(self.home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
        usual["KMON_LOG_LEVEL"] = "debug"  # so that the log, a file like any other, holds all it can
        return usual | IN_ENVIRONMENT

    def files(self) -> Iterator[tuple[Path, bytes]]:
        for folder in (self.home, self.project):
            for path in folder.rglob("*"):
                if path.is_file():
                    yield path, path.read_bytes()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    home, project = tmp_path / "home", tmp_path / "project"
    (home / ".config" / "kmon").mkdir(parents=True)
    (home / ".aws").mkdir()
    project.mkdir()
    (home / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = canary-profile-0123456789ab\n"
    )
    (project / ".env").write_text("PROJECT_KEY=canary-dotenv-0123456789ab\n")
    (project / "kmon.toml").write_text("# canary-project-0123456789ab\n[defaults]\nstall_s = 3\n")
    asked: list[bytes] = []
    elsewhere: list[bytes] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A provider that says in every way it has what it was sent as a key."""
        said = asked[-1].decode("latin-1")
        found = CANARY.search(asked[-1])
        key = found[0].decode() if found else "nothing"
        if said.startswith("GET"):
            body = json.dumps({"error": {"message": f"no such key: {key}", "code": key}}).encode()
            head = f"HTTP/1.1 401 {key}\r\nx-request-id: {key}\r\ncontent-type: application/json; a={key}\r\n"
            writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        else:
            chunk = {"id": key, "model": key, "choices": [{"index": 0, "delta": {"content": f"a {key}"}}]}
            end = {"choices": [{"index": 0, "delta": {"reasoning_content": key}, "finish_reason": key}]}
            writer.write(HEAD.replace(b"\r\n\r\n", f"\r\nx-request-id: {key}\r\n\r\n".encode()))
            for event in (chunk, end, {"error": {"message": key, "type": key}}):
                writer.write(chunked(b"data: " + json.dumps(event).encode() + b"\n\n"))
                await writer.drain()
            writer.write(chunked(b"data: [DONE]\n\n") + END)
        await writer.drain()

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunked(b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n') + END)
        await writer.drain()

    async with serving(echo, requests=asked) as mine, serving(plain, requests=elsewhere) as other:
        (home / ".config" / "kmon" / "kmon.toml").write_text(
            "# canary-user-0123456789ab\n"
            f'[targets.mine]\nbase_url = "{mine}/v1"\nmodel = "m"\nkey_env = ["MINE_KEY"]\n'
            f'[targets.ours]\nbase_url = "{mine}/v1"\nmodel = "m"\nkey_env = ["PROJECT_KEY"]\n'
            f'[targets.other]\nbase_url = "{other}/v1"\nmodel = "m"\n'
            '[alerts]\nconsecutive_failures = 1\nwebhook = "https://127.0.0.1:9/canary-webhook-0123456789ab"\n'
            f"command = '''{sys.executable} -c \"import os; open('alert', 'w').write(str(os.environ))\"'''\n"
        )
        (project / "body.sse").write_bytes(b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n')
        yield Place(home, project, mine, other, asked, elsewhere)


class Children:
    """Looks, as often as it can, at every process below ``pid``: what it was started with."""

    def __init__(self, pid: int) -> None:
        self.seen: dict[int, bytes] = {}
        self._pid, self._over = pid, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Children:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            for pid in self._below(self._pid):
                with contextlib.suppress(OSError):
                    command = _command(pid)
                    environ = Path(f"/proc/{pid}/environ").read_bytes()
                    # between fork and exec a child is still an image of its parent
                    if command == _command(pid) != _command(self._pid):
                        self.seen[pid] = environ + command

    def _below(self, pid: int) -> Iterator[int]:
        children: list[int] = []
        with contextlib.suppress(OSError):  # it may end at any moment
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                children += map(int, task.read_text().split())
        for child in children:
            yield child
            yield from self._below(child)


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


async def ran(
    place: Place, *arguments: str, end_on: bytes = b"", end_on_child: bool = False
) -> tuple[bytes, dict[int, bytes]]:
    """What the command printed, and what its children were started with.

    It is told to end when it has printed ``end_on``, or when a child of it was seen.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "kmon", *arguments,
        cwd=place.project, env=place.environ,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    printed = b""
    with Children(process.pid) as children:
        async with asyncio.timeout(60):
            while end_on_child and not children.seen:
                await asyncio.sleep(0.01)
            if end_on_child:
                process.terminate()
            while data := await process.stdout.read(65536):
                printed += data
                if end_on and end_on in printed:
                    end_on = b""
                    process.terminate()
            await process.wait()
    assert b"Traceback" not in printed, printed.decode()
    return printed, children.seen


COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("run", "mine", "ours"),
    "run as JSON": ("run", "mine", "ours", "--json"),
    "run on the simulator": ("run", "--demo", "groq", "--speed", "50"),
    "run --base-url": ("run", "--base-url", "{other}/v1", "--model", "m"),
    "the stuck chat": ("run", "--demo", "stuck-tui", "--speed", "30"),
    "test": ("test", "mine", "other", "--count", "2", "--no-tui"),
    "test as JSON": ("test", "mine", "other", "--count", "2", "--json"),
    "isolate": ("isolate", "mine", "--scenario", "minimal", "--elsewhere", "other", "--yes", "--no-tui"),
    "targets": ("targets",),
    "targets as JSON": ("targets", "--json"),
    "targets --check": ("targets", "--check", "mine", "ours", "other"),
    "doctor": ("doctor", "mine", "ours"),
    "doctor as JSON": ("doctor", "mine", "--json"),
    "gateway": ("gateway", "ws://127.0.0.1:9", "--for", "2"),
    "scenarios": ("scenarios",),
    "decode": ("decode", "body.sse"),
    "replay": ("replay", "body.sse", "--json"),
    "wrap": ("wrap", "--to", "{mine}/v1", "--json", "record", "--", sys.executable, "-c",
             "import httpx, os; httpx.post(os.environ['OPENAI_BASE_URL'] + '/chat/completions', json={}, "
             "headers={'Authorization': 'Bearer ' + os.environ['MINE_KEY'], 'x-api-key': os.environ['GITHUB_TOKEN']})"),
    "signatures": ("signatures",),
    "explain": ("explain", "hang-mid-stream"),
    "selftest": ("selftest", "--seeds", "1", "--speed", "20", "--output", "matrix"),
    "config": ("config",),
    "trust": ("trust", "--yes"),
    "help": ("--help",),
}  # fmt: skip
SERVING: dict[str, tuple[tuple[str, ...], bytes]] = {
    "proxy": (("proxy", "--to", "mine", "--port", "0", "--headless"), b"listening on"),
    "sim": (("sim",), b"listening on"),
    "sim --gateway": (("sim", "--gateway"), b"listening on"),
}


def test_every_command_is_tried() -> None:
    tried = {arguments[0] for arguments in COMMANDS.values()} | {arguments[0] for arguments, _ in SERVING.values()}
    assert cli.COMMANDS.keys() <= tried


@pytest.mark.parametrize("name", [*COMMANDS, *SERVING])
async def test_a_key_is_found_nowhere_it_should_not_be(name: str, place: Place) -> None:
    before = dict(place.files())
    arguments, end_on = SERVING[name] if name in SERVING else (COMMANDS[name], b"")
    filled = [word.replace("{mine}", place.mine).replace("{other}", place.other) for word in arguments]
    # the self-test is told no key at all, and takes a while: what is looked at is the simulator that it starts
    printed, children = await ran(place, *filled, end_on=end_on, end_on_child=name == "selftest")
    assert printed or name == "selftest"
    told = {  # a wrapped program is the user's own: it has the user's environment
        pid: what for pid, what in children.items() if name != "wrap" or b"kmon" in what.split(b"\0")
    }
    assert CANARY.findall(printed) == []
    assert [CANARY.findall(what) for what in told.values() if CANARY.search(what)] == []
    written = {path: data for path, data in place.files() if before.get(path) != data}
    assert {path.name: CANARY.findall(data) for path, data in written.items() if CANARY.search(data)} == {}
    assert [CANARY.findall(request) for request in place.sent_other if CANARY.search(request)] == []
    allowed = {b"canary-mine-0123456789ab", b"canary-dotenv-0123456789ab", b"canary-github-0123456789ab"}
    sent = {key for request in place.sent_mine for key in CANARY.findall(request)}
    assert sent <= (allowed if name == "wrap" else allowed - {b"canary-github-0123456789ab"})


async def test_an_alert_is_told_no_key(place: Place) -> None:
    """Of the program's environment too: it writes what it sees."""
    printed, _ = await ran(place, "run", "mine", "--count", "3", "--header-timeout", "5")
    seen = place.home / "alert"
    assert seen.exists(), printed.decode()
    assert b"PATH" in seen.read_bytes() and CANARY.findall(seen.read_bytes()) == []


async def test_neither_the_screen_nor_its_picture_shows_a_key(place: Place) -> None:
    def watched() -> tuple[bytes, dict[int, bytes]]:
        arguments = ["mine", "ours", "other", "--yes"]
        environ = place.environ | {"XDG_CONFIG_HOME": str(place.home / ".config")}
        with (
            Terminal(arguments, cwd=place.project, env=environ) as terminal,
            Children(terminal.process.pid) as below,
        ):
            terminal.until(lambda screen: "0 of 3" in screen or "of 3 runs" in screen or "ended" in screen, "the end")
            terminal.press("\x13")  # a picture
            terminal.until(lambda screen: "screenshot in" in screen, "the picture")
            terminal.press("r")
            terminal.press("z")
            terminal.until(lambda screen: "Raw" in screen, "the zoom")
            terminal.press("z")
            terminal.press("b")
            terminal.press("\x13")
            terminal.press("?")
            terminal.until(lambda screen: "cancel this run" in screen, "the help")
            terminal.press("\x1b")
            terminal.until(lambda screen: "cancel this run" not in screen, "the race again")
            terminal.press("q")
            terminal.ended()
            return bytes(terminal.raw), below.seen

    drawn, children = await asyncio.to_thread(watched)
    assert len(drawn) > 1000 and CANARY.findall(drawn) == []
    assert len(children) >= 1
    assert [CANARY.findall(what) for what in children.values() if CANARY.search(what)] == []
    pictures = list(place.project.glob("*.svg"))
    assert pictures
    assert [CANARY.findall(picture.read_bytes()) for picture in pictures if CANARY.search(picture.read_bytes())] == []
