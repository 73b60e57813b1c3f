"""Bedrock as AWS's own clients see it: boto3 in a thread, aiobotocore on the loop, both with dummy keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import boto3
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.awsrequest import AWSPreparedRequest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.loaders import create_loader

from tests.support.talk import Body

KIMI = "moonshotai.kimi-k2.5"
NOVA = "amazon.nova-pro-v1:0"
KEYS = {"region_name": "us-east-1", "aws_access_key_id": "dummy", "aws_secret_access_key": "dummy"}
ONE_ATTEMPT = {"total_max_attempts": 1, "mode": "standard"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SPEC = {"name": "get_weather", "description": "Get the current weather of a city.", "inputSchema": {"json": SCHEMA}}
TOOLS: Body = {"tools": [{"toolSpec": SPEC}]}

Result = TypeVar("Result")

_SESSION = boto3.Session()
_AIO_SESSION = get_session()
_AIO_SESSION.register_component("data_loader", create_loader())


def user(*blocks: Body | str) -> Body:
    return {"role": "user", "content": [{"text": block} if isinstance(block, str) else block for block in blocks]}


def used(call_id: str = "abc123xyz", *, text: str = "Getting it.") -> Body:
    """The assistant's turn that calls the tool."""
    use = {"toolUseId": call_id, "name": "get_weather", "input": {"city": "Tokyo"}}
    return {"role": "assistant", "content": [{"text": text}, {"toolUse": use}]}


def result(call_id: str = "abc123xyz", said: str = '{"temp":22}') -> Body:
    return {"toolResult": {"toolUseId": call_id, "content": [{"text": said}], "status": "success"}}


def tokyo() -> list[Body]:
    """The exchange of the field report."""
    return [user("Weather for Tokyo?"), used(), user(result())]


async def with_boto3(url: str, call: Callable[[BaseClient], Result], **config: object) -> Result:
    """What ``call`` makes of a client, in a thread."""

    def work() -> Result:
        settings = Config(**{"retries": ONE_ATTEMPT, "read_timeout": 20, **config})
        client = _SESSION.client("bedrock-runtime", endpoint_url=url, config=settings, **KEYS)
        try:
            return call(client)
        finally:
            client.close()

    return await asyncio.to_thread(work)


async def converse(
    url: str, messages: list[Body], *, model: str = KIMI, retries: Body | None = ONE_ATTEMPT, **more: object
) -> tuple[Body, list[Body]]:
    """Response metadata and events, as boto3 reads them. ``retries`` None leaves them to botocore's default."""

    def call(client: BaseClient) -> tuple[Body, list[Body]]:
        answer = client.converse_stream(modelId=model, messages=messages, **more)
        return answer["ResponseMetadata"], list(answer["stream"])

    return await with_boto3(url, call, retries=retries)


@asynccontextmanager
async def aio_stream(url: str, fault: str, *, read_timeout_s: float = 20) -> AsyncIterator[AsyncIterator[Body]]:
    """The events of a faulty code sample, as aiobotocore reads them."""
    settings = AioConfig(retries=ONE_ATTEMPT, read_timeout=read_timeout_s)

    def ask_for_fault(request: AWSPreparedRequest, **_: object) -> None:
        request.headers["x-kmon-fault"] = fault

    async with _AIO_SESSION.create_client("bedrock-runtime", endpoint_url=url, config=settings, **KEYS) as client:
        client.meta.events.register("before-send.bedrock-runtime", ask_for_fault)
        answer = await client.converse_stream(modelId=NOVA, messages=[user("Write a Python class.")])
        try:
            yield answer["stream"]
        finally:
            answer["stream"].close()


def names(events: list[Body]) -> list[str]:
    """The event names in order, repetitions left out."""
    found = [next(iter(event)) for event in events]
    return [name for number, name in enumerate(found) if number == 0 or found[number - 1] != name]


def deltas(events: list[Body], kind: str) -> list[Body | str]:
    """Every delta of a kind: ``text``, ``toolUse`` or ``reasoningContent``."""
    found = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    return [delta[kind] for delta in found if kind in delta]


def text(events: list[Body]) -> str:
    return "".join(deltas(events, "text"))
