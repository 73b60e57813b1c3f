"""Retries that a client's library makes by itself do not stay hidden."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ClientError

from kmon.simulator.client_behaviour import client_attempt
from kmon.simulator.profile import Facts, load
from kmon.simulator.request_log import LoggedRequest
from kmon.simulator.serve import line_of
from kmon.simulator.server import Simulator
from tests.support.aws import NOVA, converse, names, user, with_boto3
from tests.support.talk import ledger


async def test_a_default_boto3_client_hides_a_failure_that_the_ledger_tells(
    tmp_path: Path, http: httpx.AsyncClient
) -> None:
    path = tmp_path / "once.toml"
    path.write_text('[[rule]]\nprobability = 0.1\nfault = "http-500"\n')
    profile = load(str(path))
    asked = Facts("bedrock", NOVA, tools=False, tool_result=False, nudge=False, dialect="converse")
    seed = next(n for n in range(1_000) if profile.fault(asked, seed=n, turn=1).name == "http-500")
    async with Simulator(profile, speed=200, seed=seed) as sim:
        metadata, events = await converse(sim.origin, [user("Say hello.")], model=NOVA, retries=None)
        rows = (await ledger(sim, http))["requests"]
    assert names(events)[-1] == "metadata"
    assert metadata["RetryAttempts"] == 1
    assert [row["status"] for row in rows] == [500, 200]
    assert [row["client_attempt"] for row in rows] == [1, 2]
    assert [row["hidden_retry"] for row in rows] == [False, True]
    assert "attempt=2" in rows[1]["amz_sdk_request"]
    assert rows[0]["amz_sdk_invocation_id"] == rows[1]["amz_sdk_invocation_id"] != ""


async def test_a_client_told_to_ask_once_asks_once(sim: Simulator, http: httpx.AsyncClient) -> None:
    with pytest.raises(ClientError):
        await with_boto3(
            sim.origin, lambda client: client.converse_stream(modelId="sim/http-500", messages=[user("Hi")])
        )
    assert [row["hidden_retry"] for row in (await ledger(sim, http))["requests"]] == [False]


def test_the_line_of_a_hidden_retry_says_so() -> None:
    exchange = LoggedRequest(1, 1, 0, 0, "POST", "/x", provider="bedrock", model="m", client_attempt=2)
    exchange.end("clean")
    assert line_of(exchange).endswith("hidden retry of the client (attempt=2)")


@pytest.mark.parametrize(
    ("headers", "attempt"),
    [
        ({}, 0),
        ({"amz-sdk-request": "attempt=1"}, 1),
        ({"amz-sdk-request": "ttl=20261121T000000Z; attempt=3; max=5"}, 3),
        ({"amz-sdk-request": "attempt=x"}, 0),
        ({"x-stainless-retry-count": "0"}, 1),
        ({"x-stainless-retry-count": "1"}, 2),
        ({"x-stainless-retry-count": "²"}, 0),
    ],
)
def test_the_attempt_is_read_from_what_the_libraries_say(headers: dict[str, str], attempt: int) -> None:
    assert client_attempt(headers) == attempt
