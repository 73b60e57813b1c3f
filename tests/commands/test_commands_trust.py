"""Promises of every command in a cloned project: no key leaves for a host its user did not mean, until allowed.

The far side is a TLS server at an address of this machine that kmon does not take for loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from tests.support.cli import kmon as in_process
from tests.support.loopback import END, HEAD, serving
from tests.support.racing import sse
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow

KEY = "canary-key-0123456789"
ROOT = Path(__file__).parents[2]
ANSWER = HEAD + sse("hello", finish="stop", done=True) + END


@dataclass
class Far:
    """The host that a project names. ``asked`` holds the head of each request, ``connections`` counts them all."""

    port: int = 0
    connections: int = 0
    asked: list[bytes] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"0.0.0.0:{self.port}"


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[Far]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("0.0.0.0").configure_cert(context)
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    seen = Far()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            await writer.start_tls(context)
            seen.asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(ANSWER)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()


def settings(tmp_path: Path, **environ: str) -> dict[str, str]:
    authorities = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")} if (tmp_path / "ca.pem").exists() else {}
    home = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "home" / ".config")}
    return home | {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | authorities | environ


async def in_own_process(project: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """For what asks a host: it takes signals, and reads the authorities, which a process keeps."""
    (project.parent / "home").mkdir(exist_ok=True)
    env = settings(project.parent, **environ)
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-P", "-m", "kmon", *arguments],
        cwd=project,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


async def kmon(project: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """In this process; the far host would be served meanwhile."""
    (project.parent / "home").mkdir(exist_ok=True)
    done = await asyncio.to_thread(in_process, *arguments, cwd=project, env=settings(project.parent, **environ))
    assert "Traceback" not in done.stderr
    return done


async def refused(project: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    done = await kmon(project, *arguments, **environ)
    assert done.returncode == 2, done.stdout + done.stderr
    return done


def named(host: str, *lines: str, target: str = "evil", key_env: str = '["GITHUB_TOKEN", "DATABASE_URL"]') -> str:
    return "\n".join(
        [f"[targets.{target}]", f'base_url = "https://{host}/v1"', 'model = "m"', f"key_env = {key_env}", *lines, ""]
    )


COMMANDS = [
    ("run", "evil"),
    ("run", "evil/other-model"),
    ("run",),
    ("--no-tui",),
    ("test", "evil", "--no-tui"),
    ("run", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--fallback", "evil"),
    ("targets", "--check", "evil"),
    ("targets", "--check"),
    ("doctor", "evil"),
    ("doctor",),
    ("proxy", "--to", "evil", "--headless"),
    ("wrap", "--to", "evil", "--", sys.executable, "-c", "print('ran')"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
async def test_no_command_sends_a_users_key_where_a_project_says(
    arguments: tuple[str, ...], project: Path, far: Far
) -> None:
    (project / "kmon.toml").write_text(named(far.host))
    done = await refused(project, *arguments, GITHUB_TOKEN=KEY)
    assert done.stderr.count("\n") == 1
    what = "the key of the program that asks" if arguments[0] in ("proxy", "wrap") else "GITHUB_TOKEN"
    assert f"a project's file may not send {what} to" in done.stderr
    assert f"to {far.host}; run 'kmon trust {project}'" in done.stderr
    assert KEY not in done.stdout + done.stderr and "ran" not in done.stdout
    assert far.connections == 0


@pytest.mark.parametrize("arguments", [("run", "bedrock/kimi-k2.5"), ("doctor", "bedrock/kimi-k2.5"),
                                       ("proxy", "--to", "bedrock/kimi-k2.5", "--headless")], ids=" ".join)  # fmt: skip
async def test_nothing_signs_for_an_endpoint_that_a_project_names(
    arguments: tuple[str, ...], project: Path, far: Far
) -> None:
    home = project.parent / "home"
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "credentials").write_text(
        f"[default]\naws_access_key_id = AKIDCANARY\naws_secret_access_key = {KEY}\n"
    )
    (project / "kmon.toml").write_text(
        f'[targets."bedrock/kimi-k2.5"]\nbase_url = "https://{far.host}"\nkey_env = []\n'
    )
    done = await refused(project, *arguments)
    assert f"to {far.host}" in done.stderr
    assert far.connections == 0


@pytest.mark.parametrize("arguments", [("run", "bedrock/kimi-k2.5"), ("targets",), ("doctor", "bedrock/kimi-k2.5"),
                                       ("proxy", "--to", "bedrock/kimi-k2.5", "--headless")], ids=" ".join)  # fmt: skip
async def test_a_region_of_a_projects_env_leads_to_no_other_host(
    arguments: tuple[str, ...], project: Path, far: Far
) -> None:
    (project / ".env").write_text(f"AWS_REGION={far.host}/\n")
    done = await refused(project, *arguments, AWS_ACCESS_KEY_ID="AKIDCANARY", AWS_SECRET_ACCESS_KEY=KEY)
    assert done.stderr == (
        "kmon: AWS_REGION in .env is no name of an AWS region, such as us-east-1; correct it or unset it\n"
    )
    assert far.connections == 0


async def test_a_projects_env_sets_no_proxy_no_authority_and_no_key_log(project: Path, far: Far) -> None:
    asked: list[bytes] = []

    async def proxied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    async with serving(proxied, requests=asked) as proxy:
        variables = "\n".join(f"{name}={proxy}" for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"))
        (project / ".env").write_text(
            f"{variables}\nSSL_CERT_FILE={project}/none.pem\nSSLKEYLOGFILE={project}/keys.log\nAWS_CA_BUNDLE=none.pem\n"
        )
        done = await in_own_process(
            project, "run", "--base-url", f"https://{far.host}/v1", "--model", "m", "--api-key-env", "MINE", MINE=KEY
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert asked == [] and far.connections == 1
    assert not (project / "keys.log").exists()


async def test_what_the_user_allows_once_is_remembered_shown_and_taken_back(project: Path, far: Far) -> None:
    (project / "kmon.toml").write_text(named(far.host))
    unasked = await refused(project, "trust")
    wanted = (
        f"send GITHUB_TOKEN and DATABASE_URL and the key of the program that asks to {far.host}  (kmon.toml line 2)"
    )
    assert wanted in unasked.stderr
    assert "there is no terminal to ask on; add --yes" in unasked.stderr
    allowed = await kmon(project, "trust", "../project", "--yes")
    assert (allowed.returncode, allowed.stdout) == (0, f"{project}: allowed: {far.host}\n")
    done = await in_own_process(project, "run", "evil", GITHUB_TOKEN=KEY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Bearer {KEY}" in far.asked[0].decode()
    shown = await kmon(project, "config")
    assert f"kmon trust {project}" in shown.stdout and far.host in shown.stdout
    back = await kmon(project, "trust", "--revoke")
    assert back.stdout == f"{project}: no longer allowed: {far.host}\n"
    await refused(project, "run", "evil", GITHUB_TOKEN=KEY)
    assert far.connections == 1


async def test_a_key_of_the_projects_own_needs_nobodys_leave(project: Path, far: Far) -> None:
    (project / "kmon.toml").write_text(named(far.host))
    (project / ".env").write_text("GITHUB_TOKEN=projects-own-key\n")
    done = await in_own_process(project, "run", "evil", AWS_SECRET_ACCESS_KEY=KEY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"projects-own-key" in far.asked[0] and KEY.encode() not in far.asked[0]


async def test_what_has_nothing_to_do_with_the_host_goes_on_working(project: Path, far: Far) -> None:
    (project / "kmon.toml").write_text(named(far.host))
    run = ("run", "--demo", "groq", "--speed", "50")
    done = [await kmon(project, command, GITHUB_TOKEN=KEY) for command in ("config", "targets", "scenarios")]
    for one in (*done, await in_own_process(project, *run, GITHUB_TOKEN=KEY)):
        assert one.returncode == 0, one.stdout + one.stderr
        assert KEY not in one.stdout + one.stderr
    assert far.connections == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("trust", "nowhere"), "there is no directory 'nowhere'"),
        (("trust",), "there is no kmon.toml in"),
    ],
)
async def test_a_project_that_is_none_is_one_sentence(
    arguments: tuple[str, ...], sentence: str, project: Path, far: Far
) -> None:
    done = await refused(project, *arguments)
    assert sentence in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(("typed", "code", "connections"), [("y", 0, 1), ("n", 2, 0), ("", 2, 0)])
async def test_on_a_terminal_the_user_is_asked(
    typed: str, code: int, connections: int, project: Path, far: Far
) -> None:
    (project / "kmon.toml").write_text(named(far.host))
    (project.parent / "home").mkdir()

    def answered() -> int:
        environ = settings(project.parent, GITHUB_TOKEN=KEY)
        with Terminal(["run", "evil"], cwd=project, env=environ) as terminal:
            terminal.until(lambda screen: "[y/N]" in screen, "the question")
            terminal.press(f"{typed}\n")
            return terminal.ended()

    assert await asyncio.to_thread(answered) == code
    assert far.connections == connections


async def test_a_key_the_user_names_does_not_make_a_gateways_address_the_users(project: Path, far: Far) -> None:
    (project / "kmon.toml").write_text(f'[targets.gateway]\nbase_url = "wss://{far.host}"\n')
    for arguments in (("gateway", "--for", "2"), ("proxy", "--to", "ollama", "--port", "0", "--headless", "--gateway")):
        done = await refused(project, *arguments, "--api-key-env", "MINE", MINE=KEY)
        assert "may not send MINE and kmon's device key" in done.stderr
    assert far.connections == 0


async def test_a_name_that_cannot_be_shown_is_trusted_with_nothing_and_steers_no_terminal(
    project: Path, far: Far
) -> None:
    for name in (b"e\x1b[31m\x1b]0;pwn\x07\nThe project wants nothing", b"bad\xffdir", "turned\u202e".encode()):
        odd = Path(os.fsdecode(os.fsencode(project) + b"/" + name))
        odd.mkdir()
        (odd / "kmon.toml").write_text(named(far.host))
        for where, arguments in (
            (project, ("trust", str(odd), "--yes")),
            (odd, ("trust", "--yes")),
            (odd, ("run", "evil")),
        ):
            done = await refused(where, *arguments, GITHUB_TOKEN=KEY)
            assert done.stderr.count("\n") == 1
            assert done.stderr.strip().isprintable()
    assert (await kmon(project, "config")).returncode == 0
    assert far.connections == 0


async def test_a_question_longer_than_anybody_reads_is_not_asked(project: Path, far: Far) -> None:
    (project / "kmon.toml").write_text("".join(named(f"h{n}.example", target=f"t{n}") for n in range(21)))
    done = await refused(project, "trust", "--yes")
    assert "more than 20 hosts" in done.stderr
    names = ", ".join(f'"KEY_{n}"' for n in range(21))
    (project / "kmon.toml").write_text(named(far.host, key_env=f"[{names}]"))
    await refused(project, "trust", "--yes")


async def test_bad_input_is_one_line_however_long_it_is(project: Path) -> None:
    (project / "kmon.toml").write_text(f"[defaults]\n{'x' * 100_000} = 1\n")
    done = await refused(project, "config")
    assert done.stderr.count("\n") == 1 and len(done.stderr) < 2_100
    names = ", ".join(f'"together/{n}"' for n in range(30_000))
    (project / "kmon.toml").write_text(f"[policy]\nfallback = [{names}]\n")
    done = await refused(project, "run", "together", TOGETHER_API_KEY=KEY)
    assert "must be one or more names, 100 at most" in done.stderr
    (project / "kmon.toml").unlink()
    (project / ".env").write_text('a="\\\n' * 20_000)
    assert len((await kmon(project, "targets")).stderr.splitlines()) <= 21


# -- proxies -----------------------------------------------------------------------------------------------------------


async def test_this_machine_is_never_asked_through_a_proxy(project: Path) -> None:
    """Neither a local server, with its key, nor kmon's own simulator, nor by a program that is wrapped."""
    through: list[bytes] = []
    direct: list[bytes] = []

    async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    async def good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ANSWER)
        await writer.drain()

    async with serving(refusing, requests=through) as proxy, serving(good, requests=direct) as local:
        environ = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"), proxy)
        aim = ("--base-url", f"{local}/v1", "--model", "m", "--api-key-env", "MINE")
        done = await in_own_process(project, "run", *aim, MINE=KEY, **environ)
        assert done.returncode == 0, done.stdout + done.stderr
        assert KEY in direct[0].decode()
        demo = await in_own_process(project, "run", "--demo", "groq", "--speed", "50", **environ)
        assert demo.returncode == 0, demo.stdout + demo.stderr
        script = (
            "import httpx, os; "
            f"httpx.post(os.environ['OPENAI_BASE_URL'] + '/chat/completions', headers={{'Authorization': '{KEY}'}})"
        )
        wrapped = await in_own_process(
            project, "wrap", "--to", f"{local}/v1", "--", sys.executable, "-c", script, **environ
        )
        assert wrapped.returncode == 0, wrapped.stdout + wrapped.stderr
        assert len(direct) == 2
    assert through == []
