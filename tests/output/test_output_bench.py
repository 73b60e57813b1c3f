"""``kmon sim --report``: the table of a running bench, or a sentence."""

from __future__ import annotations

import json

import httpx
import pytest

from kmon.cli import main
from kmon.simulator.embedded import Embedded

BODY = {"model": "truncated-no-finish", "stream": True, "messages": [{"role": "user", "content": "hi"}]}


def test_a_running_bench_tells_what_its_clients_did(capsys: pytest.CaptureFixture[str]) -> None:
    with Embedded(speed=50).running() as simulator:
        assert main(["sim", "--report", simulator.origin]) == 0
        assert capsys.readouterr().out == "nobody has asked anything yet\n"
        httpx.post(f"{simulator.origin}/v1/chat/completions", json=BODY, headers={"user-agent": "x\x1b]0;/1"})
        assert main(["sim", "--report", "--port", str(simulator.port)]) == 0
        said = capsys.readouterr().out
        assert "truncated-no-finish  1" in said and "took all that was sent" in said and "\x1b" not in said
        assert main(["sim", "--report", simulator.origin, "--json"]) == 0
        (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["did"] == {"took-all": 1}


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--report"], "--report needs --port N or a URL"),
        (["--json"], "--json needs --report"),
        (["--report", "nonsense"], "is no URL"),
        (["--report", "http://[::1"], "is no URL"),
        (["--report", "--port", "1"], "no bench answers at http://127.0.0.1:1/_kmon/ledger"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_sentence(
    flags: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sim", *flags]) == 2
    assert told in capsys.readouterr().err
