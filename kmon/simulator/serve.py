"""``kmon sim``: the simulator in the foreground, with a line per request and a table of all clients at the end."""

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
from kmon.format import listed
from kmon.process.interrupts import handle_interrupts
from kmon.simulator import profile
from kmon.simulator.bench_report import client_name, table
from kmon.simulator.client_behaviour import behaviour, in_words
from kmon.simulator.dialects.registry import names_with, server_dialects
from kmon.simulator.endpoints import PLACES
from kmon.simulator.request_log import LoggedRequest
from kmon.simulator.script import Script
from kmon.simulator.server import LEDGER_PATH, Simulator, is_loopback

SPEED_LIMIT = 10_000.0
HANGS_S = (10.0, 60.0, 300.0)
"""A client that still waits after so much silence gets a line each time."""
LOOK_EVERY_S = 0.5
LINE_LIMIT_CHARS = 400


class SimOptions(Struct, frozen=True):
    """The options of a simulator. ``port`` 0 is any free one; ``profile`` is a built-in name or a TOML file."""

    host: str = "127.0.0.1"
    port: int = 0
    profile: str = "smooth"
    speed: float = 1.0
    seed: int = 1
    fault: str = ""
    """A fault for each request, or the name of a place for each request; empty for the profile alone."""
    places: Collection[str] = ()
    """Places to open beside those of the profile."""


@asynccontextmanager
async def listening(
    options: SimOptions,
    *,
    replays: Mapping[str, Script] | None = None,
    on_finished: Callable[[LoggedRequest], None] | None = None,
) -> AsyncIterator[Simulator]:
    """A running simulator. Raises UsageError for wrong options or an address that cannot be used."""
    if not is_loopback(options.host):
        raise UsageError(f"--host {options.host}: the simulator serves loopback only; use 127.0.0.1 or ::1")
    if not 0 <= options.port <= 65_535:
        raise UsageError(f"--port {options.port}: a port is 0 to 65535; 0 takes any free one")
    if not 0 < options.speed <= SPEED_LIMIT:
        raise UsageError(f"--speed {options.speed:g}: must be above 0 and at most {SPEED_LIMIT:g}")
    loaded = profile.load(options.profile)
    simulator = Simulator(
        loaded.with_fault(options.fault) if options.fault else loaded,
        # the name may have two addresses, and port 0 would give each another port
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
    """Serve until SIGINT, SIGTERM or SIGHUP; print a line per finished request and per client that waits."""
    stop = asyncio.Event()

    def emit(line: str) -> None:
        try:
            print(line, flush=True)
        except BrokenPipeError:  # the reader of the pipe has ended
            stop.set()

    with tempfile.TemporaryDirectory(prefix="kmon-sim-") as scratch, handle_interrupts(lambda _: stop.set()):
        await _served(options, Path(scratch), emit, stop)


async def _served(options: SimOptions, scratch: Path, emit: Callable[[str], None], stop: asyncio.Event) -> None:
    async with listening(options, on_finished=lambda logged: emit(line_of(logged))) as simulator:
        simulator.on_refused = lambda sentence: emit(f"kmon sim: {sentence}")
        for line in _greeting(options, simulator, scratch):
            emit(line)
        watch = asyncio.create_task(_report_waiting(simulator, emit))
        try:
            await stop.wait()
        finally:
            watch.cancel()
            report = simulator.report(stamps=False)
    if report["requests"]:
        emit("")
        for line in table(report):
            emit(line)


def _greeting(options: SimOptions, simulator: Simulator, scratch: Path) -> Iterator[str]:
    """How to aim a client at the simulator and at each of its places."""
    faulty = f", fault {options.fault}" if options.fault else ""
    yield f"kmon sim: listening on {simulator.origin}/v1 (profile {options.profile}{faulty}, seed {options.seed})"
    wanted = simulator.profile.wanted
    able = names_with(frozenset() if wanted is None else wanted.needs)
    if wanted is not None and len(able) < len(server_dialects()):
        yield f"  only {listed(able)} can have the fault {wanted.name}; other requests are answered without it"
    yield f"  aim a client at it: kmon run --base-url {simulator.base_url('together')} --model moonshotai/Kimi-K2.6"
    yield f"  for an AWS client: endpoint_url={simulator.origin}/bedrock; the ledger is at {LEDGER_PATH}"
    yield "  a fault by model name: --model sim/hang-mid-stream; by header: x-kmon-fault: stall:duration_s=8"
    for name, origin in simulator.opened_places.origins.items():
        yield f"  {name}: {origin}/v1 ({PLACES[name]})"
    if simulator.opened_places.authority_pem:
        authority = scratch / "authority.pem"
        authority.write_bytes(simulator.opened_places.authority_pem)
        yield f"  to trust the simulator's own authority, which vouches for tls: SSL_CERT_FILE={authority}"


async def _report_waiting(simulator: Simulator, emit: Callable[[str], None]) -> None:
    """Print a line for each client that still waits, after each time of :data:`HANGS_S`."""
    lines: dict[int, int] = {}
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        now_ns = time.monotonic_ns()
        waiting = [logged for logged in simulator.request_log.newest if logged.ended == "open"]
        lines = {logged.id: lines.get(logged.id, 0) for logged in waiting}
        for logged in waiting:
            due = lines[logged.id]
            if due < len(HANGS_S) and behaviour(logged, now_ns).waited_ms >= HANGS_S[due] * 1000:
                lines[logged.id] += 1
                emit(line_of(logged))


def line_of(logged: LoggedRequest) -> str:
    """One request as a line of text: connection, client, model, fault, status, size, what the client did, and why it
    was answered without the fault of all requests."""
    parts = [
        f"{logged.connection}:{logged.id}",
        client_name(logged.user_agent) or "(no User-Agent)",
        f"{logged.provider}/{logged.model}" if logged.model else f"{logged.method} {logged.path}",
        logged.fault or "-",
        str(logged.status or "no answer"),
        f"{logged.chunks} chunks" if logged.chunks else f"{logged.bytes} bytes",
        in_words(logged, time.monotonic_ns()),
        *([f"without the fault: {logged.unfit}"] if logged.unfit else []),
    ]
    return clean("  ".join(parts)).replace("\n", " ")[:LINE_LIMIT_CHARS]


def main(options: SimOptions) -> int:
    """Serve in the foreground; 0 when stopped on purpose."""
    asyncio.run(serve(options))
    return 0
