"""``kmon sim``: the simulator in the foreground. It tells of every client what it did, and at the end in a table."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from kmon.address import unusable
from kmon.dialects.text import clean
from kmon.errors import UsageError
from kmon.interrupts import heeding
from kmon.simulator import profile
from kmon.simulator.bench_report import client_name, table
from kmon.simulator.client_behaviour import behaviour, told
from kmon.simulator.endpoints import PLACES
from kmon.simulator.request_log import Exchange
from kmon.simulator.script import Script
from kmon.simulator.server import LEDGER_PATH, Simulator, is_loopback

SPEED_LIMIT = 10_000.0
HANGS_S = (10.0, 60.0, 300.0)
"""After so much silence a client that still waits is told of: a line each."""
LOOK_EVERY_S = 0.5
LINE_LIMIT_CHARS = 400


class SimOptions(Struct, frozen=True):
    """How to simulate. ``port`` 0 takes any free one; ``profile`` is a built-in name or the path of a TOML file."""

    host: str = "127.0.0.1"
    port: int = 0
    profile: str = "smooth"
    speed: float = 1.0
    seed: int = 1
    fault: str = ""
    """A fault for every request, or the name of a place where every request goes; empty for the profile alone."""
    places: Collection[str] = ()
    """Places to open beside those that the profile sends anybody to."""


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
    behaviour_of = profile.load(options.profile)
    simulator = Simulator(
        behaviour_of.with_fault(options.fault) if options.fault else behaviour_of,
        # a name may stand for two addresses, and port 0 would then mean two ports
        host="127.0.0.1" if options.host == "localhost" else options.host,
        port=options.port,
        speed=options.speed,
        seed=options.seed,
        replays=replays,
        on_finished=on_finished,
        places=options.places,
    )
    try:
        await simulator.__aenter__()
    except OSError as error:
        raise UsageError(unusable(options.host, options.port, error)) from None
    try:
        yield simulator
    finally:
        await simulator.__aexit__()


async def serve(options: SimOptions) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP, printing a line per finished request, and one per client that hangs."""
    stop = asyncio.Event()

    def say(line: str) -> None:
        try:
            print(line, flush=True)
        except BrokenPipeError:  # nobody reads any more; whoever piped us has gone
            stop.set()

    with tempfile.TemporaryDirectory(prefix="kmon-sim-") as scratch, heeding(lambda _: stop.set()):
        await _served(options, Path(scratch), say, stop)


async def _served(options: SimOptions, scratch: Path, say: Callable[[str], None], stop: asyncio.Event) -> None:
    async with listening(options, on_finished=lambda exchange: say(line_of(exchange))) as simulator:
        simulator.on_refused = lambda sentence: say(f"kmon sim: {sentence}")
        for line in _greeting(options, simulator, scratch):
            say(line)
        watch = asyncio.create_task(_tell_of_waiting(simulator, say))
        try:
            await stop.wait()
        finally:
            watch.cancel()
            report = simulator.report(stamps=False)
    if report["requests"]:
        say("")
        for line in table(report):
            say(line)


def _greeting(options: SimOptions, simulator: Simulator, scratch: Path) -> Iterator[str]:
    """How to aim a client at it, and at each of its places."""
    faulty = f", fault {options.fault}" if options.fault else ""
    yield f"kmon sim: listening on {simulator.origin}/v1 (profile {options.profile}{faulty}, seed {options.seed})"
    yield f"  aim a client at it: kmon run --base-url {simulator.base_url('together')} --model moonshotai/Kimi-K2.6"
    yield f"  for an AWS client: endpoint_url={simulator.origin}/bedrock; the ledger is at {LEDGER_PATH}"
    yield "  a fault by model name: --model sim/hang-mid-stream; by header: x-kmon-fault: stall:duration_s=8"
    for name, origin in simulator.opened_places.origins.items():
        yield f"  {name}: {origin}/v1 ({PLACES[name]})"
    if simulator.opened_places.authority_pem:
        authority = scratch / "authority.pem"
        authority.write_bytes(simulator.opened_places.authority_pem)
        yield f"  to trust the simulator's own authority, which vouches for tls: SSL_CERT_FILE={authority}"


async def _tell_of_waiting(simulator: Simulator, say: Callable[[str], None]) -> None:
    """A line for each client that still waits after so much silence."""
    lines: dict[int, int] = {}
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        now_ns = time.monotonic_ns()
        waiting = [exchange for exchange in simulator.ledger.exchanges if exchange.ended == "open"]
        lines = {exchange.id: lines.get(exchange.id, 0) for exchange in waiting}
        for exchange in waiting:
            due = lines[exchange.id]
            if due < len(HANGS_S) and behaviour(exchange, now_ns).waited_ms >= HANGS_S[due] * 1000:
                lines[exchange.id] += 1
                say(line_of(exchange))


def line_of(exchange: Exchange) -> str:
    """One request for a person: who asked what on which connection, what was sent, what the client did."""
    parts = [
        f"{exchange.connection}:{exchange.id}",
        client_name(exchange.user_agent) or "(no User-Agent)",
        f"{exchange.provider}/{exchange.model}" if exchange.model else f"{exchange.method} {exchange.path}",
        exchange.fault or "-",
        str(exchange.status or "no answer"),
        f"{exchange.chunks} chunks" if exchange.chunks else f"{exchange.bytes} bytes",
        told(exchange, time.monotonic_ns()),
    ]
    return clean("  ".join(parts)).replace("\n", " ")[:LINE_LIMIT_CHARS]


def main(options: SimOptions) -> int:
    """Serve in the foreground; 0 when stopped on purpose."""
    asyncio.run(serve(options))
    return 0
