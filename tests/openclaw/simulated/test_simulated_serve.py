"""``kmon sim --gateway`` and the gateways in a child process: they come up, say where, and refuse in a sentence."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import aiohttp
import pytest

from kmon.cli import main
from kmon.errors import UsageError
from kmon.openclaw.simulated.embedded import EmbeddedGateway
from kmon.simulator.embedded import Embedded
from tests.support.gateway_client import connected

pytestmark = pytest.mark.slow

SIM = [sys.executable, "-m", "kmon", "sim", "--gateway", "--speed", "200"]


@pytest.mark.parametrize("protocol", ["3", "4"])
async def test_it_says_where_it_listens_and_tells_each_run_and_stops_with_0(protocol: str) -> None:
    with subprocess.Popen([*SIM, "--protocol", protocol], stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        found = re.search(r"listening on (ws://127\.0\.0\.1:\d+) \(protocol (\d)", served.stdout.readline())
        assert found
        assert found[2] == protocol
        said = [served.stdout.readline() for _ in range(3)]
        assert "model calls go to http://127.0.0.1:" in said[0]
        async with connected(found[1]) as client:
            await client.send("hello", "run-1")
            await client.event("chat", runId="run-1", state="final")
            assert served.stdout.readline() == "run run-1  agent:main:test  ok  1 model calls\n"
            served.send_signal(signal.SIGTERM)
            assert await client.closed() == 1012
        assert served.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mechanism", "a"], "--mechanism is for the gateway; add --gateway"),
        (["--provider-url", "http://127.0.0.1:1"], "--provider-url is for the gateway"),
        (["--gateway", "--mechanism", "z"], "the mechanisms are a, b, c"),
        (["--gateway", "--queue", "later"], "the queue modes are collect, steer, followup, interrupt"),
        (["--gateway", "--mechanism", "b", "--queue", "steer"], "leave --queue steer out"),
        (["--gateway", "--protocol", "5"], "speaks 3 or 4"),
        (["--gateway", "--gateway-fault", "x"], "the faults are starting, stuck, held"),
        (["--gateway", "--provider-url", "x"], "must be http://"),
        (["--gateway", "--provider-url", "http://x:99999/v1"], "must be http://"),
        (["--gateway", "--provider-url", "http://x", "--profile", "demo"], "leave one out"),
        (["--gateway", "--provider-url", "http://x", "--fault", "smooth"], "leave one out"),
        (["--gateway", "--fault", "crc-error"], "converse can, and all model calls of the gateway are chat"),
        (["--gateway", "--tick", "0"], "above 0 seconds"),
        (["--gateway", "--tick", "nan"], "above 0 seconds"),
        (["--gateway", "--token", ""], "must not be empty"),
        (["--gateway", "--host", "0.0.0.0"], "loopback only"),
        (["--gateway", "--speed", "0"], "above 0"),
    ],
)
def test_what_cannot_be_served_is_refused_in_a_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sim", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_port_in_use_is_refused_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["sim", "--gateway", "--port", str(port)]) == 2
    assert f"port {port} is in use" in capsys.readouterr().err


async def test_three_gateways_in_one_child_share_its_provider() -> None:
    async with EmbeddedGateway(("a", "b", "c"), speed=200) as embedded:
        assert len(embedded.urls) == 3
        for url in embedded.urls:
            async with connected(url) as client:
                await client.send("hello", "run-1")
                assert (await client.ask("agent.wait", runId="run-1"))["payload"]["status"] == "ok"
        async with aiohttp.ClientSession() as http, http.get(f"{embedded.provider_origin}/_kmon/ledger") as answer:
            asked = [row["provider"] for row in (await answer.json())["requests"]]
        assert asked == ["gateway-a", "gateway-b", "gateway-c", "gateway-c"]


async def test_their_model_calls_go_to_the_base_urls_that_are_given() -> None:
    async with Embedded(speed=200) as provider:
        urls = [provider.base_url("one"), provider.base_url("two")]
        async with EmbeddedGateway((None, "c"), provider_urls=urls, protocol=4, speed=200) as embedded:
            assert embedded.provider_origin == ""
            async with connected(embedded.urls[1]) as client:
                await client.send("hello", "run-1")
                await client.event("chat", runId="run-1", state="error")
        async with aiohttp.ClientSession() as http, http.get(f"{provider.origin}/_kmon/ledger") as answer:
            assert (await answer.json())["requests"][0]["provider"] == "two"


def test_what_a_child_refuses_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="2 given for 1 gateways"), EmbeddedGateway(provider_urls=["a", "b"]).running():
        pass
