"""``kmon sim``: says where it listens, tells each request in a line, ends cleanly, refuses what it cannot serve."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from kmon.errors import UsageError
from kmon.simulator.request_log import LoggedRequest
from kmon.simulator.serve import SimOptions, _greeting, line_of, listening, main
from tests.support.talk import Body

pytestmark = pytest.mark.slow

SERVE = "import sys; from kmon.simulator.serve import *; sys.exit(main(SimOptions(profile='demo', speed=200)))"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_what_it_served_and_stops_with_0(number: signal.Signals, body: Body) -> None:
    with subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        first = served.stdout.readline()
        found = re.fullmatch(r"kmon sim: listening on (http://127\.0\.0\.1:\d+)/v1 \(profile demo, seed 1\)\n", first)
        assert found
        assert "kmon run --base-url" in served.stdout.readline()
        assert f"endpoint_url={found[1]}/bedrock" in served.stdout.readline()
        served.stdout.readline()
        httpx.post(f"{found[1]}/fireworks/v1/chat/completions", json=body)
        line = served.stdout.readline()
        assert re.match(r"1:1  python-httpx/\S+  fireworks/moonshotai/kimi-k2-0905  smooth  200  \d+ chunks  ", line)
        assert re.search(r"  took all that was sent after \d+\.\d s\n$", line)
        served.send_signal(number)
        report = served.stdout.read().splitlines()
        assert report[1].split() == ["client", "fault", "asked", "median", "s", "retries", "what", "it", "did"]
        assert report[2].startswith("python-httpx/") and report[2].endswith("took all that was sent")
        assert served.wait(20) == 0


@pytest.mark.parametrize(("flags", "server"), [([], "simulator"), (["--gateway"], "gateway")])
def test_it_tells_once_of_a_web_page_that_it_refused(flags: list[str], server: str) -> None:
    command = [sys.executable, "-m", "kmon", "sim", *flags]
    with contextlib.ExitStack() as stack:
        served = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        stack.callback(served.kill)  # it must not outlive a test that fails
        assert served.stdout is not None
        assert served.stderr is not None
        found = re.search(r"listening on \w+://(127\.0\.0\.1:\d+)", served.stdout.readline())
        assert found
        for _ in range(3):
            served.stdout.readline()
            answer = httpx.get(f"http://{found[1]}/_kmon/ledger", headers={"Origin": "https://page.example"})
            assert answer.status_code == 403
        assert httpx.get(f"http://{found[1]}/_kmon/ledger").status_code == 200
        with socket.create_connection(found[1].split(":")) as garbage:  # is answered, without a traceback in the log
            garbage.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX\x00: y\r\n\r\n")
            assert b" 400 Bad Request\r\n" in garbage.recv(65_536)
        served.send_signal(signal.SIGTERM)
        said, wrong = served.stdout.read(), served.stderr.read()
        assert served.wait(20) == 0
    assert said.splitlines() == [
        f"kmon sim: a web page on https://page.example tried to use the {server} and was refused: "
        "programs may use it, and pages that came from its own address"
    ]
    assert wrong == ""


def test_a_line_holds_no_control_characters() -> None:
    exchange = LoggedRequest(
        1, 1, 0, 0, "POST", "/x", provider="p", model="a\x1b[31m\nb", fault="smooth", user_agent="\x1b"
    )
    exchange.ended, exchange.t_ended_ns = "client", 100_000_000
    assert "\x1b" not in line_of(exchange)
    assert "\n" not in line_of(exchange)
    assert line_of(exchange).endswith("gave up in the silence after 0.1 s")


def test_a_port_in_use_is_refused_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port} is in use; choose another --port"):
            main(SimOptions(port=port))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SimOptions(host="0.0.0.0"), "loopback only"),
        (SimOptions(host="no such host"), "loopback only"),
        (SimOptions(port=70_000), "0 to 65535"),
        (SimOptions(port=-1), "0 to 65535"),
        (SimOptions(speed=0.0), "above 0"),
        (SimOptions(speed=float("nan")), "above 0"),
        (SimOptions(profile="nope"), "there is no profile"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(options: SimOptions, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        main(options)


# -- a fault that some dialects cannot have ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "path", "stream", "unfit"),
    [
        ("crc-error", "/p/v1/chat/completions", True, "chat cannot have the fault crc-error; converse can"),
        ("crc-error", "/p/v1/chat/completions", False, "chat cannot have the fault crc-error; converse can"),
        ("crc-error", "/p/api/chat", True, "ollama cannot have the fault crc-error; converse can"),
        ("crlf", "/p/v1/chat/completions", False, "the fault crlf needs a stream, and none was asked for"),
        ("crlf", "/p/v1/chat/completions", True, ""),
        ("rate-limited", "/p/v1/chat/completions", False, ""),
        ("crc-error", "/bedrock/model/m/converse-stream", True, ""),
    ],
)
async def test_the_line_of_a_request_says_why_it_was_answered_without_the_fault_of_all(
    fault: str, path: str, stream: bool, unfit: str, body: Body, http: httpx.AsyncClient
) -> None:
    done: list[LoggedRequest] = []
    async with listening(SimOptions(fault=fault, speed=200), on_finished=done.append) as simulator:
        asked = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]} if "bedrock" in path else body
        await http.post(simulator.origin + path, json=asked | {"stream": stream, "max_tokens": 9})
        (row,) = simulator.report(stamps=False)["requests"]
    assert row["unfit"] == done[0].unfit == unfit
    assert done[0].fault == ("smooth" if unfit else fault)
    told = f"  without the fault: {unfit}"
    assert line_of(done[0]).endswith(told) if unfit else "without the fault" not in line_of(done[0])


async def test_a_request_that_names_a_fault_of_its_own_has_that_one(body: Body, http: httpx.AsyncClient) -> None:
    done: list[LoggedRequest] = []
    async with listening(SimOptions(fault="crc-error", speed=200), on_finished=done.append) as simulator:
        url = f"{simulator.base_url('p')}/chat/completions"
        await http.post(url, json=body, headers={"x-kmon-fault": "crlf"})
    assert (done[0].fault, done[0].unfit) == ("crlf", "")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("crc-error", "  only converse can have the fault crc-error; other requests are answered without it"),
        ("hang-mid-stream", None),
        ("refused", None),
        ("", None),
    ],
)
async def test_the_greeting_says_which_dialects_can_have_it(fault: str, told: str | None, tmp_path: Path) -> None:
    options = SimOptions(fault=fault)
    async with listening(options) as simulator:
        lines = list(_greeting(options, simulator, tmp_path))
    assert [line for line in lines if "can have the fault" in line] == ([told] if told else [])
