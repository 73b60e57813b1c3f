"""The TCP state of a stall: the kernel is asked at the moment the silence becomes one."""

from __future__ import annotations

import asyncio
import sys

import msgspec
import pytest

from kmon.stream import events as ev
from tests.support.loopback import HEAD, Script, serving
from tests.support.racing import plan, racing, sse, target


async def silent_after_words(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + sse("some words"))
    await writer.drain()
    await asyncio.Event().wait()


async def silent_from_the_start(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has TCP_INFO")
@pytest.mark.parametrize(
    ("script", "phase"), [(silent_after_words, "mid-text"), (silent_from_the_start, "before-first-token")]
)
async def test_a_stall_carries_what_the_kernel_says_of_its_socket(script: Script, phase: str) -> None:
    async with serving(script) as url, racing(plan(target(url), stall_s=0.3)) as race:
        stall = await race.until(lambda event: isinstance(event, ev.StallStarted))
        assert isinstance(stall, ev.StallStarted)
        await race.do("cancel")
        await race.ended()
    assert stall.phase == phase
    assert stall.witness is not None
    assert (stall.witness.retransmits, stall.witness.unacked, stall.witness.unread_bytes) == (0, 0, 0)
    assert stall.witness.last_data_received_ms >= 200


def test_a_stall_without_a_tcp_state_keeps_its_line_short() -> None:
    line = msgspec.json.encode(ev.StallStarted(1, "r", 1, "mid-text", 5000.0))
    assert b"witness" not in line
