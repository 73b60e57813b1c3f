"""Runs every case of the self-test through the real probe, over loopback, against a simulator in its own process."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from kmon.catalog.credential import Credential
from kmon.catalog.signatures import KMON_LATE
from kmon.output.selftest_cases import Case
from kmon.probe.attempt import Conversation
from kmon.probe.context import Shared
from kmon.probe.http_attempt import HttpAttempt
from kmon.probe.limits import Limits
from kmon.probe.recorder import AttemptId
from kmon.probe.send import prepare
from kmon.simulator.embedded import Embedded
from kmon.stream.events import BytesArrived, DeltaArrived, Event
from kmon.stream.timeline import S

STALL_S = 5.0
"""The usual threshold, in simulated seconds like the durations of the faults."""
CONNECT_TIMEOUT_S = 0.5
"""Where nobody answers; elsewhere connecting is not what is tested."""
PATIENT_CONNECT_S = 10.0
UNCONNECTED = ("dns-failure", "connect-failure", "connect-timeout", "tls-failure")
LAG_EVERY_S = 0.03
BEAT_EVERY_S = 0.05
"""Between two comments of the stream that shows whether the simulator is in time."""
ENDLESS_S = 86_400.0
LATE_KEPT = 1_000
LATE_SHARE = 0.4
"""The part of the stall threshold by which this program, or the simulator, may be late before a run means nothing."""
QUIETER = (1, 4, 16, 64)
"""With each pass so many times fewer at once, at least one: disturbed runs are made again when others are through."""
CALM_S = 0.2
"""How long this program must have been in time before it starts another run."""
SPACING_S = 0.028
"""Between the starts of two runs: writing many answers at the same moment would delay all streams that are open."""


class RowResult(Struct, frozen=True):
    """What kmon said about one case: how often each signature, None for nothing."""

    case: Case
    said: dict[str | None, int]
    evidence: dict[str, str]
    """One evidence line for each signature that was not expected."""
    unmeasured: int = 0
    """Runs that were disturbed by this machine each time they were made; what they said is not counted."""

    @property
    def runs(self) -> int:
        return sum(self.said.values())

    @property
    def right(self) -> int:
        return self.said.get(self.case.expects, 0)


class _Said(NamedTuple):
    """The signature of one run, and its evidence."""

    name: str | None
    evidence: str


class Bench(Struct, frozen=True):
    """A matrix, and the worst delay of this program's own event loop while it was made."""

    rows: tuple[RowResult, ...]
    lag_ms: float
    disturbed: int = 0
    """Runs that were thrown away, whatever they said, and made again: this machine was late during them."""


async def run_bench(cases: Sequence[Case], *, seeds: int, speed: float, concurrency: int) -> Bench:
    """Every case ``seeds`` times, ``concurrency`` at once, thresholds and faults ``speed`` times as fast."""
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
    """The same against a simulator that is up. ``origins`` has its origin by place, under "" the simulator's own."""
    for case in cases:  # what is imported or made once must not count as anybody's silence
        await prepare(case.target(origins[""]), Credential({}), network, PATIENT_CONNECT_S)
    limit_s = STALL_S / speed * LATE_SHARE
    lag = _Lag(limit_s)
    beating = asyncio.create_task(_beats(origins[""], speed, network, lag))

    async def one(case: Case, seed: int, gate: asyncio.Semaphore) -> _Said | None:
        """What kmon says; None where this machine disturbed the run: something was late, or lay here unread."""
        async with gate:
            began_s = time.monotonic()
            origin = origins.get(case.place, origins[""])
            unread_s = 0.0

            def read(event: Event) -> None:
                nonlocal unread_s
                if isinstance(event, DeltaArrived | BytesArrived):
                    unread_s = max(unread_s, time.monotonic() - event.t_ns / S)

            said = await _ask(case, seed, origin, speed, network, emit=read)
            late = unread_s > limit_s or lag.late_since(began_s)
            return None if late or said.name == KMON_LATE else said

    # Seed by seed, so that the faults that hang are spread over the whole time and nobody waits for them alone.
    found: dict[tuple[int, int], _Said | None] = {
        (seed, at): None for seed in range(1, seeds + 1) for at in range(len(cases))
    }
    disturbed = 0
    for times_fewer in QUIETER:
        gate, runs = asyncio.Semaphore(max(1, concurrency // times_fewer)), {}
        for seed, at in [cell for cell, said in found.items() if said is None]:
            await lag.calm()
            runs[seed, at] = asyncio.create_task(one(cases[at], seed, gate))
        found |= dict(zip(runs, await asyncio.gather(*runs.values()), strict=True))
        disturbed += sum(found[cell] is None for cell in runs)
    lag_ms = lag.stop()
    beating.cancel()
    await asyncio.wait([beating])
    rows = [_row(case, [found[seed, at] for seed in range(1, seeds + 1)]) for at, case in enumerate(cases)]
    return Bench(tuple(rows), lag_ms, disturbed)


async def _beats(origin: str, speed: float, network: Shared, lag: _Lag) -> None:
    """A stream of comments that the simulator sends beside all others: late ones show that it is late itself."""
    steady = Case(f"keepalives-only:every_s={BEAT_EVERY_S * speed:g}", timeout_s=ENDLESS_S * speed)

    def heard(event: Event) -> None:
        if isinstance(event, DeltaArrived):
            lag.beat(event.t_ns / S)

    await _ask(steady, 1, origin, speed, network, stall_s=ENDLESS_S, emit=heard)


async def _ask(
    case: Case,
    seed: int,
    origin: str,
    speed: float,
    network: Shared,
    *,
    stall_s: float = STALL_S,
    emit: Callable[[Event], None] = lambda _: None,
) -> _Said:
    scenario = case.scenario(seed)
    probe = HttpAttempt(
        AttemptId("bench", 1, "first"),
        Conversation(scenario, scenario.messages),
        target=case.target(origin),
        credential=Credential({}),
        limits=Limits(
            stall_s=stall_s / speed,
            timeout_s=PATIENT_CONNECT_S if case.expects in UNCONNECTED else case.timeout_s / speed,
            connect_timeout_s=CONNECT_TIMEOUT_S if case.expects == "connect-timeout" else PATIENT_CONNECT_S,
        ),
        network=network,
        emit=emit,
    )
    return _Said(*(await probe.go()).signature)


class _Lag:
    """Measures how late timers fire here, and how late the simulator's beats were sent, until :meth:`stop`.

    Only what is late by more than ``limit_s`` disturbs a run. Times are of CLOCK_MONOTONIC, in seconds.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._late: deque[tuple[float, float]] = deque(maxlen=LATE_KEPT)
        self._worst_s = 0.0
        self._beat_s: float | None = None
        self._arm()

    def _arm(self) -> None:
        self._due_s = time.monotonic() + LAG_EVERY_S
        self._timer = self._loop.call_later(LAG_EVERY_S, self._look)

    def _look(self) -> None:
        now_s = time.monotonic()
        late_s = now_s - self._due_s
        self._worst_s = max(self._worst_s, late_s)
        self._note(now_s, late_s)
        self._arm()

    def beat(self, at_s: float) -> None:
        """A beat of the simulator arrived at ``at_s``, by the kernel's stamp where there is one."""
        if self._beat_s is not None:
            self._note(at_s, at_s - self._beat_s - BEAT_EVERY_S)
        self._beat_s = at_s

    def _note(self, at_s: float, late_s: float) -> None:
        if late_s > LAG_EVERY_S:
            self._late.append((at_s, late_s))

    async def calm(self) -> None:
        """Wait a little in any case, and longer while this machine cannot keep up with what is open already."""
        await asyncio.sleep(SPACING_S)
        if self._late:  # once more, if there was another delay meanwhile, is what the next run's turn is for
            await asyncio.sleep(max(0.0, self._late[-1][0] + CALM_S - time.monotonic()))

    def late_since(self, began_s: float) -> bool:
        """Whether a timer or a beat since ``began_s``, or one that is due now, was later than allowed."""
        now_s = time.monotonic()
        overdue_s = [now_s - self._due_s]
        if self._beat_s is not None:
            overdue_s.append(now_s - self._beat_s - BEAT_EVERY_S)
        late = max(overdue_s) > self._limit_s
        return late or any(at_s >= began_s and late_s > self._limit_s for at_s, late_s in self._late)

    def stop(self) -> float:
        """The worst delay of this program, in ms."""
        self._timer.cancel()
        return self._worst_s * 1000


def _row(case: Case, found: Sequence[_Said | None]) -> RowResult:
    told = [said for said in found if said is not None]
    wrong = {said.name or "nothing": said.evidence for said in told if said.name != case.expects}
    return RowResult(case, dict(Counter(said.name for said in told)), wrong, len(found) - len(told))
