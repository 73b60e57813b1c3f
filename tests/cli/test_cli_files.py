"""What kmon does with the files it is given, or finds, when they are pipes, devices, or without end."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kmon.openclaw.simulated.embedded import EmbeddedGateway
from kmon.transport.authorities import authorities
from tests.support.cli import KMON, kmon

SSE = b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n'

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


def environment(home: Path, **variables: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return {"HOME": str(home), **kept, **variables}


def kmon_process(
    here: Path, *arguments: str, stdin: bytes = b"", **variables: str
) -> subprocess.CompletedProcess[bytes]:
    env = environment(here, **variables)
    return subprocess.run([*KMON, *arguments], cwd=here, env=env, input=stdin, capture_output=True, timeout=60)


@contextmanager
def started(here: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*KMON, *arguments], cwd=here, env=environment(here), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_decode_reads_the_others_when_one_file_has_no_end(tmp_path: Path) -> None:
    (tmp_path / "body.sse").write_bytes(SSE)
    done = kmon("decode", "/dev/zero", "body.sse", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout.count('"text": "hi"') == 1
    assert done.stderr == "kmon: /dev/zero is larger than 64 MiB; record less, or split it\n"


def test_decode_reads_stdin_and_pipes_by_name(tmp_path: Path) -> None:
    assert b'"text": "hi"' in kmon_process(tmp_path, "decode", "/dev/stdin", "--json", stdin=SSE).stdout


def test_decode_says_that_it_waits_for_a_pipe_and_can_be_interrupted(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with started(tmp_path, "decode", "pipe") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"kmon: waiting for a program that writes to the pipe pipe\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_what_a_cloned_directory_holds_cannot_stop_kmon(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / ".env")
    make(tmp_path / "aws")
    done = kmon("targets", cwd=tmp_path, env={"AWS_CONFIG_FILE": "aws", "AWS_SHARED_CREDENTIALS_FILE": "aws"})
    assert done.returncode == 0, done.stderr
    assert ".env is not a regular file and was not read" in done.stderr
    make(tmp_path / "kmon.toml")
    done = kmon("targets", cwd=tmp_path)
    assert done.returncode == 2
    assert "kmon.toml: it is not a regular file; move it away" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("sim", "--profile", "pipe", "--port", "0"), ("replay", "pipe", "--json"), ("replay", "/dev/zero", "--json")],
)
def test_what_must_be_a_file_is_refused_when_it_is_none(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = kmon(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "it is not a regular file" in done.stderr


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("/dev/zero", "it is not a regular file"),
        ("pipe", "it is not a regular file"),
        ("nothing", "there is no such file"),
        ("text", "it holds no certificates"),
    ],
)
def test_authorities_that_cannot_be_read_are_said_before_anything_is_sent(tmp_path: Path, named: str, why: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("none")
    aim = ("run", "--base-url", "https://127.0.0.1:9", "--model", "m")
    authorities.cache_clear()
    done = kmon(*aim, cwd=tmp_path, env={"SSL_CERT_FILE": named})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"kmon: cannot read the authorities in {named}: {why}; set SSL_CERT_FILE anew\n"


def test_blanks_without_end_in_dotenv_are_refused(tmp_path: Path) -> None:
    """The parser of such files tries every one of them as the beginning of a comment."""
    (tmp_path / ".env").write_text("A=1\nB=2" + " " * 1_000_000 + "3\n")
    done = kmon("config", cwd=tmp_path)
    assert done.returncode == 2
    assert ".env line 2 has more than 200 blanks in a row" in done.stderr
    (tmp_path / ".env").write_text(("A=" + "1 " * 200 + "\n") * 1_000)
    assert kmon("config", cwd=tmp_path).returncode == 0


def test_scenarios_that_are_like_one_another_without_end_are_refused(tmp_path: Path) -> None:
    chain = "".join(f'[scenarios.s{at}]\nlike = "s{at + 1}"\n' for at in range(20_000))
    (tmp_path / "kmon.toml").write_text(chain + '[scenarios.s20000]\nlike = "code"\n')
    done = kmon("scenarios", cwd=tmp_path)
    assert done.returncode == 2
    assert "kmon.toml line 42, key 'scenarios.s20.like'" in done.stderr


@pytest.mark.parametrize("home", ["none", "full"])
def test_a_gateway_is_watched_without_a_home_and_none_is_made(home: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "full").symlink_to("/proc/self")  # where nothing can be made, even by root
    with EmbeddedGateway(protocol=4).running() as gateway:
        env = {"HOME": str(tmp_path / home), "OPENCLAW_GATEWAY_TOKEN": gateway.token}
        done = kmon_process(tmp_path, "gateway", gateway.url, "--json", "--for", "5", **env)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"kmon: cannot keep a device key in {tmp_path / home}".encode())
    assert b"protocol 4" in done.stdout
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("command", ["config", "targets", "scenarios", "run --demo groq --speed 20 --json"])
def test_no_command_makes_a_home(command: str, tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path / "none"), "XDG_CONFIG_HOME": ""}
    assert kmon(*command.split(), cwd=tmp_path, env=env).returncode == 0
    assert list(tmp_path.iterdir()) == []
