"""Runs every case of the self-test through the real probe, over loopback, against a simulator in its own process."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from msgspec import Struct

from kmon.catalog.credential import Credential
from kmon.probe.asking import prepare
from kmon.probe.probe import Limits, Probe
from kmon.report.selftest_cases import Case, Place
from kmon.simulator.embedded import Embedded
from kmon.transport.network import Network

STALL_S = 5.0
"""The usual threshold, in simulated seconds like the durations of the faults."""
CONNECT_TIMEOUT_S = 0.5
"""Where nobody answers; elsewhere connecting is not what is tested."""
PATIENT_CONNECT_S = 10.0
LAG_EVERY_S = 0.05
SPACING_S = 0.025
"""Between the starts of two runs: writing many answers at the same moment would delay all streams that are open."""


class RowResult(Struct, frozen=True):
    """What kmon said about one case: how often each signature, None for nothing."""

    case: Case
    said: dict[str | None, int]
    evidence: dict[str, str]
    """One evidence line for each signature that was not expected."""

    @property
    def runs(self) -> int:
        return sum(self.said.values())

    @property
    def right(self) -> int:
        return self.said.get(self.case.expects, 0)


class Bench(Struct, frozen=True):
    """A matrix, and the worst delay of this program's own event loop while it was made."""

    rows: tuple[RowResult, ...]
    lag_ms: float


async def run_bench(cases: Sequence[Case], *, seeds: int, speed: float, concurrency: int) -> Bench:
    """Every case ``seeds`` times, ``concurrency`` at once, thresholds and faults ``speed`` times as fast."""
    gate = asyncio.Semaphore(concurrency)
    async with Embedded(speed=speed) as simulator, _nobody() as (refused, mute):
        bases: dict[Place, str] = {
            "simulator": simulator.origin,
            "refused": f"http://127.0.0.1:{refused}",
            "mute": f"https://127.0.0.1:{mute}",
            "plain-as-tls": simulator.origin.replace("http://", "https://"),
        }
        network = Network()
        for case in cases:  # what is imported or made once must not count as anybody's silence
            prepare(case.target(simulator.origin), Credential({}), network)

        async def one(case: Case, seed: int, turn: int) -> tuple[str | None, str]:
            await asyncio.sleep(turn * SPACING_S)
            async with gate:
                return await _ask(case, seed, bases[case.place], speed, network)

        # Seed by seed, so that the faults that hang are spread over the whole time and nobody waits for them alone.
        lag = _Lag()
        turns = itertools.product(range(1, seeds + 1), cases)
        found = await asyncio.gather(*(one(case, seed, turn) for turn, (seed, case) in enumerate(turns)))
        lag_ms = lag.stop()
    return Bench(tuple(_row(case, found[i :: len(cases)]) for i, case in enumerate(cases)), lag_ms)


async def _ask(case: Case, seed: int, origin: str, speed: float, network: Network) -> tuple[str | None, str]:
    version = "/v1" if case.dialect == "chat" else ""
    scenario = case.scenario(seed)
    probe = Probe(
        run="bench",
        attempt=1,
        role="first",
        target=case.target(f"{origin}/bench{version}"),
        scenario=scenario,
        messages=scenario.messages,
        credential=Credential({}),
        limits=Limits(
            stall_s=STALL_S / speed,
            timeout_s=case.timeout_s / speed if case.place == "simulator" else PATIENT_CONNECT_S,
            connect_timeout_s=CONNECT_TIMEOUT_S if case.place == "mute" else PATIENT_CONNECT_S,
        ),
        network=network,
        emit=lambda _: None,
    )
    return (await probe.go()).signature


class _Lag:
    """Measures how late timers fire, from its creation until :meth:`stop`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._worst_s = 0.0
        self._arm()

    def _arm(self) -> None:
        self._due_s = self._loop.time() + LAG_EVERY_S
        self._timer = self._loop.call_at(self._due_s, self._look)

    def _look(self) -> None:
        self._worst_s = max(self._worst_s, self._loop.time() - self._due_s)
        self._arm()

    def stop(self) -> float:
        """The worst delay, in ms."""
        self._timer.cancel()
        return self._worst_s * 1000


def _row(case: Case, found: Sequence[tuple[str | None, str]]) -> RowResult:
    wrong = {name or "nothing": evidence for name, evidence in found if name != case.expects}
    return RowResult(case, dict(Counter(name for name, _ in found)), wrong)


@contextlib.asynccontextmanager
async def _nobody() -> AsyncIterator[tuple[int, int]]:
    """Two ports: one that refuses, because it is taken but not listened on, and one that accepts and stays mute."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        mute = await asyncio.start_server(_mute, "127.0.0.1", 0)
        async with mute:
            yield taken.getsockname()[1], mute.sockets[0].getsockname()[1]


async def _mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        await reader.read(-1)
    writer.close()
