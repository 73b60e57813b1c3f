"""Runs each case of the self-test through the real probe, over loopback, against a simulator in a child process."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import Mapping, Sequence

from msgspec import Struct

from kmon.catalog.credential import Credential
from kmon.output.selftest_cases import Case
from kmon.probe.context import Shared
from kmon.probe.http_attempt import HttpAttempt
from kmon.probe.limits import Limits
from kmon.probe.send import prepare
from kmon.simulator.embedded import Embedded

STALL_S = 5.0
"""The default threshold, in simulated seconds like the durations of the faults."""
CONNECT_TIMEOUT_S = 0.5
"""For the cases of a connect timeout."""
PATIENT_CONNECT_S = 10.0
"""For all other cases."""
UNCONNECTED = ("dns-failure", "connect-failure", "connect-timeout", "tls-failure")
LAG_EVERY_S = 0.03
LATE_KEPT = 1_000
LATE_SHARE = 0.4
"""A run is repeated when a timer of this program was late by more than this part of the stall threshold."""
TRIES = 3
CALM_S = 0.2
"""The time without a late timer before another run starts."""
SPACING_S = 0.028
"""Time between the starts of two runs, because many answers at the same moment would delay all open streams."""


class RowResult(Struct, frozen=True):
    """The signatures that kmon gave in the runs of one case, with counts; None is no signature."""

    case: Case
    signatures: dict[str | None, int]
    evidence: dict[str, str]
    """One line of evidence for each signature that was not expected."""

    @property
    def runs(self) -> int:
        return sum(self.signatures.values())

    @property
    def right(self) -> int:
        return self.signatures.get(self.case.expects, 0)


class Bench(Struct, frozen=True):
    """The matrix, and the worst delay of this program's event loop in ms while it was made."""

    rows: tuple[RowResult, ...]
    lag_ms: float
    disturbed: int = 0
    """Runs that were repeated, whatever their result, because this program was late during them."""


async def run_bench(cases: Sequence[Case], *, seeds: int, speed: float, concurrency: int) -> Bench:
    """Run each case ``seeds`` times, ``concurrency`` at once, with thresholds and faults ``speed`` times as fast."""
    async with Embedded(speed=speed, places=tuple(dict.fromkeys(c.place for c in cases if c.place))) as simulator:
        network = Shared()
        if simulator.authority_pem:
            network.ssl_context.load_verify_locations(cadata=simulator.authority_pem)
        origins = {"": simulator.origin, **simulator.origins}
        return await run_cases(cases, origins, network, seeds=seeds, speed=speed, concurrency=concurrency)


async def run_cases(
    cases: Sequence[Case],
    origins: Mapping[str, str],
    network: Shared,
    *,
    seeds: int,
    speed: float,
    concurrency: int,
) -> Bench:
    """The same against a running simulator. ``origins`` has its origins by place; under "" its own."""
    gate = asyncio.Semaphore(concurrency)
    for case in cases:  # the time of first imports and of clients made once must not count as a silence
        await prepare(case.target(origins[""]), Credential({}), network, PATIENT_CONNECT_S)

    loop, lag, again = asyncio.get_running_loop(), _LoopLag(), list[Case]()

    async def one(case: Case, seed: int) -> tuple[str | None, str]:
        async with gate:
            for _ in range(TRIES):
                began_s = loop.time()
                signature = await _attempt(case, seed, origins.get(case.place, origins[""]), speed, network)
                if not lag.late_since(began_s, STALL_S / speed * LATE_SHARE):
                    break
                again.append(case)
            return signature

    # Seed by seed, so that the faults that hang are spread over the whole time.
    runs: list[asyncio.Task[tuple[str | None, str]]] = []
    for seed, case in itertools.product(range(1, seeds + 1), cases):
        await lag.calm()
        runs.append(asyncio.create_task(one(case, seed)))
    found = await asyncio.gather(*runs)
    lag_ms = lag.stop()
    return Bench(tuple(_row(case, found[i :: len(cases)]) for i, case in enumerate(cases)), lag_ms, len(again))


async def _attempt(case: Case, seed: int, origin: str, speed: float, network: Shared) -> tuple[str | None, str]:
    version = "/v1" if case.dialect == "chat" else ""
    scenario = case.scenario(seed)
    attempt = HttpAttempt(
        run="bench",
        attempt=1,
        role="first",
        target=case.target(f"{origin}/bench{version}"),
        scenario=scenario,
        messages=scenario.messages,
        credential=Credential({}),
        limits=Limits(
            stall_s=STALL_S / speed,
            timeout_s=PATIENT_CONNECT_S if case.expects in UNCONNECTED else case.timeout_s / speed,
            connect_timeout_s=CONNECT_TIMEOUT_S if case.expects == "connect-timeout" else PATIENT_CONNECT_S,
        ),
        network=network,
        emit=lambda _: None,
    )
    return (await attempt.go()).signature


class _LoopLag:
    """Measures how late timers fire, from its creation until :meth:`stop`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._late: deque[tuple[float, float]] = deque(maxlen=LATE_KEPT)
        self._worst_s = 0.0
        self._arm()

    def _arm(self) -> None:
        self._due_s = self._loop.time() + LAG_EVERY_S
        self._timer = self._loop.call_at(self._due_s, self._fire)

    def _fire(self) -> None:
        now_s = self._loop.time()
        late_s = now_s - self._due_s
        self._worst_s = max(self._worst_s, late_s)
        if late_s > LAG_EVERY_S:
            self._late.append((now_s, late_s))
        self._arm()

    async def calm(self) -> None:
        """Wait at least :data:`SPACING_S`, and longer while timers are late."""
        await asyncio.sleep(SPACING_S)
        if self._late:  # another delay meanwhile is for the wait before the next run
            await asyncio.sleep(max(0.0, self._late[-1][0] + CALM_S - self._loop.time()))

    def late_since(self, began_s: float, limit_s: float) -> bool:
        """Whether a timer since ``began_s`` (the loop's clock), or one due now, was late by more than ``limit_s``."""
        if self._loop.time() - self._due_s > limit_s:
            return True
        return any(at_s >= began_s and late_s > limit_s for at_s, late_s in self._late)

    def stop(self) -> float:
        """The worst delay, in ms."""
        self._timer.cancel()
        return self._worst_s * 1000


def _row(case: Case, found: Sequence[tuple[str | None, str]]) -> RowResult:
    wrong = {name or "nothing": evidence for name, evidence in found if name != case.expects}
    return RowResult(case, dict(Counter(name for name, _ in found)), wrong)
