"""The child side of the engine process, which hosts a plan so that drawing does not delay measuring.

Measured with eight panes: the error of a gap is 50 to 66 ms at p99 when one event loop reads and draws, and 0.2 to 2.5
ms in a child process. The child reads a plan and commands from stdin and writes batches of events to stdout about every
30 ms. It ends when its stdin does, so that it does not outlive its parent; on Linux even when it is stopped or stuck.
Its stray output does not reach the terminal.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable

from kmon.engine.api import EventSource, Host
from kmon.engine.ipc import Do, Start, pack, read_message
from kmon.engine.plan import Keys
from kmon.logs import log
from kmon.process.parent_death import end_with_parent
from kmon.redaction.redact import redaction

BATCH_S = 0.03
LAST_EVENTS_S = 1.0
"""Longest time to write the last events when closing; the front end may not read any more."""

MakeHost = Callable[[bytes, Keys], Host]
"""Decodes a plan from msgpack and returns its host, not started."""


def serve(make_host: MakeHost) -> None:
    """Host one plan until stdin ends. Call it once, in a process of its own."""
    end_with_parent()
    log.begin_in_child(os.environ, redaction)
    for name in (signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # the terminal's signals are the front end's to handle
    events_fd = os.dup(1)
    os.dup2(2, 1)  # a stray print must not corrupt the event stream
    gc.freeze()
    asyncio.run(_serve(events_fd, make_host))


async def _serve(events_fd: int, make_host: MakeHost) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    first = await read_message(reader)
    if not isinstance(first, Start):
        return
    log.hide(first.keys.secrets)
    log.hide_variables(first.environment)
    os.environ |= first.environment  # /proc shows only the environment at the start of a process
    hosted = make_host(first.plan, first.keys)
    hosted.start()
    async with asyncio.TaskGroup() as group:  # if sending fails the engine ends with that error
        sending = group.create_task(_send(hosted, events_fd))
        try:
            while isinstance(message := await read_message(reader), Do):
                await hosted.command(message.command)
        finally:
            await hosted.close()
            await asyncio.wait([sending], timeout=LAST_EVENTS_S)
            sending.cancel()


async def _send(source: EventSource, events_fd: int) -> None:
    transport, protocol = await asyncio.get_running_loop().connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(events_fd, "wb", buffering=0)
    )
    writer = asyncio.StreamWriter(transport, protocol, None, asyncio.get_running_loop())
    try:
        async for batch in source.batches():
            writer.write(pack(batch))
            await writer.drain()
            await asyncio.sleep(BATCH_S)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the front end has closed; stdin ends as well
    finally:
        transport.close()
