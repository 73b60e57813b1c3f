"""``kmon sim``: the simulator in the foreground, with a line per finished request."""

from __future__ import annotations

import asyncio
import errno
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from msgspec import Struct

from kmon.catalog.errors import UsageError
from kmon.dialects.text import clean
from kmon.simulator import profile
from kmon.simulator.ledger import Ended, Exchange
from kmon.simulator.script import Script
from kmon.simulator.server import LEDGER_PATH, Simulator, is_loopback

SPEED_LIMIT = 10_000.0
CLOSED: dict[Ended, str] = {
    "open": "still open",
    "clean": "ended",
    "client": "client left",
    "reset": "reset",
    "stopped": "stopped",
}


class SimOptions(Struct, frozen=True):
    """How to simulate. ``port`` 0 takes any free one; ``profile`` is a built-in name or the path of a TOML file."""

    host: str = "127.0.0.1"
    port: int = 0
    profile: str = "smooth"
    speed: float = 1.0
    seed: int = 1


@asynccontextmanager
async def listening(
    options: SimOptions,
    *,
    replays: Mapping[str, Script] | None = None,
    on_finished: Callable[[Exchange], None] | None = None,
) -> AsyncIterator[Simulator]:
    """A running simulator. Raises UsageError for options that cannot be served."""
    if not is_loopback(options.host):
        raise UsageError(f"--host {options.host}: the simulator serves loopback only; use 127.0.0.1 or ::1")
    if not 0 <= options.port <= 65_535:
        raise UsageError(f"--port {options.port}: a port is 0 to 65535; 0 takes any free one")
    if not 0 < options.speed <= SPEED_LIMIT:
        raise UsageError(f"--speed {options.speed:g}: must be above 0 and at most {SPEED_LIMIT:g}")
    simulator = Simulator(
        profile.load(options.profile),
        # a name may stand for two addresses, and port 0 would then mean two ports
        host="127.0.0.1" if options.host == "localhost" else options.host,
        port=options.port,
        speed=options.speed,
        seed=options.seed,
        replays=replays,
        on_finished=on_finished,
    )
    try:
        await simulator.__aenter__()
    except OSError as error:
        raise UsageError(unusable(options.host, options.port, error)) from None
    try:
        yield simulator
    finally:
        await simulator.__aexit__()


def unusable(host: str, port: int, error: OSError) -> str:
    """A sentence for who asked for an address that cannot be listened on."""
    where = f"{host} port {port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use; choose another --port, or 0 for any free one"
    if error.errno == errno.EACCES:
        return f"{where} needs more rights; choose a --port above 1023"
    return f"cannot listen on {where} ({error.strerror}); choose another --host or --port"


async def serve(options: SimOptions) -> None:
    """Serve until SIGINT or SIGTERM, printing one line per finished request."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def say(line: str) -> None:
        try:
            print(line, flush=True)
        except BrokenPipeError:  # nobody reads any more; whoever piped us has gone
            stop.set()

    async with listening(options, on_finished=lambda exchange: say(finished_line(exchange))) as simulator:
        say(f"kmon sim: listening on {simulator.origin}/v1 (profile {options.profile}, seed {options.seed})")
        say(f"  aim a client at it: kmon run --base-url {simulator.base_url('together')} --model moonshotai/Kimi-K2.6")
        say(f"  for an AWS client: endpoint_url={simulator.origin}/bedrock; the ledger is at {LEDGER_PATH}")
        say("  a fault by model name: --model sim/hang-mid-stream; by header: x-kmon-fault: stall:duration_s=8")
        await stop.wait()


def finished_line(exchange: Exchange) -> str:
    """One request for a person: who, what, how much, how it ended."""
    ended_ns = exchange.t_ended_ns or exchange.t_request_ns
    parts = [
        f"{exchange.provider}/{exchange.model}" if exchange.model else f"{exchange.method} {exchange.path}",
        exchange.fault or "-",
        str(exchange.status or "no answer"),
        f"{exchange.chunks} chunks" if exchange.chunks else f"{exchange.bytes} bytes",
        f"{(ended_ns - exchange.t_request_ns) / 1e9:.1f} s",
        CLOSED[exchange.ended],
    ]
    if exchange.hidden_retry:
        parts.append(f"hidden retry of the client (attempt={exchange.client_attempt})")
    return clean("  ".join(parts)).replace("\n", " ")[:300]


def main(options: SimOptions) -> int:
    """Serve in the foreground; 0 when stopped on purpose."""
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(options))
    return 0
