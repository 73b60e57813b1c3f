"""Retries that a client's library makes by itself do not stay hidden."""

from __future__ import annotations

import httpx
import pytest
from botocore.exceptions import ClientError

from kmon.simulator.ledger import Exchange
from kmon.simulator.retries import client_attempt
from kmon.simulator.serve import finished_line
from kmon.simulator.server import Simulator
from tests.simulator.aws import user, with_boto3
from tests.simulator.talk import ledger


async def test_a_default_boto3_client_is_caught_retrying(sim: Simulator, http: httpx.AsyncClient) -> None:
    with pytest.raises(ClientError):
        await with_boto3(
            sim.origin,
            lambda client: client.converse_stream(modelId="sim/http-500", messages=[user("Hi")]),
            retries=None,
        )
    rows = (await ledger(sim, http))["requests"]
    assert [row["client_attempt"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) > 1
    assert [row["hidden_retry"] for row in rows] == [False] + [True] * (len(rows) - 1)
    assert "attempt=2" in rows[1]["amz_sdk_request"]
    assert len({row["amz_sdk_invocation_id"] for row in rows}) == 1


async def test_a_client_told_to_ask_once_asks_once(sim: Simulator, http: httpx.AsyncClient) -> None:
    with pytest.raises(ClientError):
        await with_boto3(
            sim.origin, lambda client: client.converse_stream(modelId="sim/http-500", messages=[user("Hi")])
        )
    assert [row["hidden_retry"] for row in (await ledger(sim, http))["requests"]] == [False]


def test_the_line_of_a_hidden_retry_says_so() -> None:
    exchange = Exchange(1, 1, 0, 0, "POST", "/x", provider="bedrock", model="m", client_attempt=2)
    exchange.end("clean")
    assert finished_line(exchange).endswith("hidden retry of the client (attempt=2)")


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
