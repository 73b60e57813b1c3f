"""What a Bedrock writes, packed by hand and owing nothing to kmon: answers, faults and refusals, frame by frame."""

from __future__ import annotations

import json
import struct
import zlib

from kmon.catalog.aws import KEY_ENV
from kmon.engine.plan import RacePlan, Row
from kmon.model import PromptMessage, Scenario, Target, Tool, ToolUse
from kmon.retry.policy import Policy
from kmon.stream import events as ev
from tests.support.loopback import Script
from tests.support.racing import outcome
from tests.support.scripted_provider import Provider, provider

REQUEST_ID = "5f3e9a52-0000-4000-8000-000000000001"
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n"
    b"x-amzn-RequestId: " + REQUEST_ID.encode() + b"\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """An event-stream message, packed by the book."""
    block = b""
    for name, value in headers.items():
        raw_name, raw_value = name.encode(), value.encode()
        block += struct.pack(">B", len(raw_name)) + raw_name + struct.pack(">BH", 7, len(raw_value)) + raw_value
    prelude = struct.pack(">II", 4 + 4 + 4 + len(block) + len(payload) + 4, len(block))
    head = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return head + struct.pack(">I", zlib.crc32(head))


def event(name: str, **members: object) -> bytes:
    """An ordinary event; real ones are padded with a member ``p``."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps({**members, "p": "abcdefghijkl"}).encode())


def exception(name: str, message: str) -> bytes:
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())


START = event("messageStart", role="assistant")
STOP = event("messageStop", stopReason="end_turn")
METADATA = event("metadata", usage={"inputTokens": 9, "outputTokens": 4, "totalTokens": 13}, metrics={"latencyMs": 417})


def text(words: str) -> bytes:
    return event("contentBlockDelta", contentBlockIndex=0, delta={"text": words})


def answer(*words: str) -> bytes:
    """A whole answer."""
    return START + b"".join(map(text, words)) + event("contentBlockStop", contentBlockIndex=0) + STOP + METADATA


def in_chunks(data: bytes, size: int = 1 << 16) -> bytes:
    """``data`` as HTTP chunks of ``size`` bytes."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def refusing(status: str, code: str, message: str) -> bytes:
    """A refusal before any stream."""
    body = json.dumps({"message": message}).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nx-amzn-ErrorType: {code}:http://internal/\r\n"
    return f"{head}x-amzn-RequestId: {REQUEST_ID}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG"}


WEATHER = Tool(name="get_weather", description="Weather", parameters={"type": "object", "properties": {}})


TOKYO = Scenario(
    name="tool-result",
    tools=(WEATHER,),
    max_tokens=100,
    messages=(
        PromptMessage(role="system", content="Be brief."),
        PromptMessage(role="user", content="Weather for Tokyo?"),
        PromptMessage(
            role="assistant",
            content="Getting it.",
            tool_calls=(ToolUse(id="abc123xyz", name="get_weather", arguments={"city": "Tokyo"}),),
        ),
        PromptMessage(role="tool", tool_call_id="abc123xyz", content='{"temp":22}'),
    ),
)


def target(url: str, model: str = "moonshotai.kimi-k2.5", **members: object) -> Target:
    given = {"key_env": KEY_ENV, "auth": "aws", "region": "eu-west-3"} | members
    return Target(name="bedrock", provider="bedrock", model=model, dialect="converse", base_url=url, **given)  # type: ignore[arg-type]


def plan(aimed: Target, *, timeout_s: float = 30.0, stall_s: float = 20.0) -> RacePlan:
    policy = Policy(timeout_s=timeout_s, connect_timeout_s=5.0)
    return RacePlan(rows=(Row(aimed, TOKYO),), stall_s=stall_s, policy=policy)


async def played(
    play: Script, keys: dict[str, str] = KEYS, *, timeout_s: float = 30.0, **members: object
) -> tuple[ev.RunEnded, list[ev.Event], Provider]:
    """Race once against a Bedrock that answers with ``play``."""
    async with provider(play) as fake:
        results, events = await outcome(plan(target(fake.url, **members), timeout_s=timeout_s), keys)
    return results[0], events, fake
