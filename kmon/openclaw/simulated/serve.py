"""``kmon sim --gateway``: the gateway in the foreground with its provider, and a line per ended run."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from msgspec.structs import replace

from kmon.address import unusable
from kmon.dialects.text import clean
from kmon.errors import UsageError
from kmon.openclaw.simulated.options import TOKEN, GatewayOptions, checked
from kmon.openclaw.simulated.server import Gateway
from kmon.process.interrupts import handle_interrupts
from kmon.simulator.dialects.chat import CHAT
from kmon.simulator.profile import fault_or_place
from kmon.simulator.serve import SimOptions, listening
from kmon.simulator.server import LEDGER_PATH, is_loopback


def provider_name(mechanism: str | None) -> str:
    """The provider's name in the base URL, which selects its pace."""
    return f"gateway-{mechanism}" if mechanism else "gateway"


@asynccontextmanager
async def gateway_listening(
    options: GatewayOptions,
    *,
    on_run_ended: Callable[[dict[str, Any]], None] | None = None,
    on_refused: Callable[[str], None] = lambda _sentence: None,
) -> AsyncIterator[Gateway]:
    """A running gateway. Raises UsageError for options that cannot be served."""
    if not is_loopback(options.host):
        raise UsageError(f"--host {options.host}: the gateway serves loopback only; use 127.0.0.1 or ::1")
    gateway = Gateway(checked(options), on_run_ended=on_run_ended, on_refused=on_refused)
    try:
        await gateway.__aenter__()
    except OSError as error:
        raise UsageError(unusable(options.host, options.port, error)) from None
    try:
        yield gateway
    finally:
        await gateway.__aexit__()


async def serve(options: GatewayOptions, provider: SimOptions | None) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; protocol 4 then lets open runs end, and the next signal stops at once.

    ``provider`` is the simulated provider to start; None to use ``options.provider_url``. Raises UsageError for a fault
    of it that none of the gateway's model calls can have.
    """
    fault = fault_or_place(provider.fault) if provider is not None and provider.fault else None
    if fault is not None and (refusal := fault.refusal(CHAT)):
        raise UsageError(f"--fault {fault.name}: {refusal}, and all model calls of the gateway are {CHAT.name}")
    signals: asyncio.Queue[int] = asyncio.Queue()

    def print_line(line: str) -> None:
        try:
            print(line, flush=True)
        except BrokenPipeError:  # the reader of the pipe has gone: stop at once
            signals.put_nowait(signal.SIGTERM)
            signals.put_nowait(signal.SIGTERM)

    def refused(sentence: str) -> None:
        print_line(f"kmon sim: {sentence}")

    async with AsyncExitStack() as stack:
        stack.enter_context(handle_interrupts(signals.put_nowait))
        if provider is not None:
            simulated = await stack.enter_async_context(listening(provider))
            simulated.on_refused = refused
            options = replace(options, provider_url=simulated.base_url(provider_name(options.mechanism)))
        gateway = await stack.enter_async_context(
            gateway_listening(options, on_run_ended=lambda row: print_line(ended_line(row)), on_refused=refused)
        )
        token = options.token if options.token == TOKEN else "the given one"
        print_line(f"kmon sim: gateway listening on {gateway.url} (protocol {options.protocol}, token {token})")
        where = options.provider_url if provider is not None else "the given --provider-url"  # it may hold a password
        print_line(f"  its model calls go to {where}; the ledger is at {gateway.origin}{LEDGER_PATH}")
        print_line(f"  mechanism {options.mechanism or 'none'}, queue {options.queue_mode}, speed {options.speed:g}")
        print_line(
            "  a fault by a mark in the message: [[slow]] [[hang]] [[reset]] [[flaky]] [[tool]] [[stuck]] [[held]] ..."
        )
        await signals.get()
        ending = asyncio.create_task(gateway.shut_down())
        again = asyncio.create_task(signals.get())
        await asyncio.wait({ending, again}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        again.cancel()
        await asyncio.wait({ending, again})


def ended_line(row: dict[str, Any]) -> str:
    """One run as a line: id, session, final state, model calls."""
    parts = [f"run {row['run']}", row["session"], row["state"], f"{row['provider_requests']} model calls"]
    return clean("  ".join(parts)).replace("\n", " ")[:300]


def main(options: GatewayOptions, provider: SimOptions | None) -> int:
    """Serve in the foreground; the exit code is 0 after a signal."""
    asyncio.run(serve(options, provider))
    return 0
