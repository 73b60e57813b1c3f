"""The embedded simulator: comes up in a process of its own, never outlives its parent, and says why it cannot start."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from kmon.errors import UsageError
from kmon.simulator.embedded import Embedded
from tests.support.talk import Body

pytestmark = pytest.mark.slow

CHILD = [sys.executable, "-m", "kmon.simulator"]


def refuses(url: str) -> bool:
    try:
        httpx.get(f"{url}/v1/models")
    except httpx.TransportError:
        return True
    return False


async def test_it_serves_while_its_context_is_open(body: Body) -> None:
    async with Embedded("smooth", speed=100) as simulator, httpx.AsyncClient() as client:
        answer = await client.post(f"{simulator.base_url('groq')}/chat/completions", json=body)
        assert answer.text.endswith("data: [DONE]\n\n")
        row = (await client.get(f"{simulator.origin}/_kmon/ledger")).json()["requests"][-1]
        assert row["provider"] == "groq"
    assert refuses(simulator.origin)


def test_it_serves_callers_without_an_event_loop_and_ends_when_they_fail() -> None:
    with pytest.raises(ZeroDivisionError), Embedded("demo").running() as simulator:
        assert httpx.get(f"{simulator.origin}/v1/models").status_code == 200
        _ = 1 / 0
    assert refuses(simulator.origin)


def test_it_ends_when_its_stdin_does() -> None:
    with subprocess.Popen(CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline().startswith(b'{"port": ')
        child.stdin.close()
        assert child.wait(20) == 0


def test_it_dies_with_a_parent_that_is_killed() -> None:
    script = (
        "import sys\nfrom kmon.simulator.embedded import Embedded\n"
        "with Embedded().running() as simulator:\n    print(simulator.port, flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=20) as open_line:
            parent.kill()
            assert parent.wait(20) != 0
            with contextlib.suppress(ConnectionResetError):
                assert open_line.recv(1) == b""  # returns only when the other end is gone
    assert refuses(f"http://127.0.0.1:{port}")


async def test_what_it_refuses_is_a_usage_error(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[[rule]]\nfault = 3\n")
    for arguments in ({"profile": str(bad)}, {"profile": "nope"}, {"speed": 0.0}, {"replay": ["missing.yaml"]}):
        with pytest.raises(UsageError) as refused:
            async with Embedded(**arguments):
                pass
        assert "Traceback" not in str(refused.value)
        assert str(refused.value)


def test_keys_are_not_handed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", "sk-secret")
    with Embedded().running() as simulator:
        found = Path(f"/proc/{simulator.pid}/environ")
        if found.exists():  # on other systems no other process can read it
            assert b"sk-secret" not in found.read_bytes()
        assert os.getsid(simulator.pid) == simulator.pid
