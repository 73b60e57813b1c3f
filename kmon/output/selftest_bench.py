"""Runs each case of the self-test through the real probe, over loopback, against a simulator in a child process."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from kmon.catalog.credential import Credential
from kmon.catalog.signatures import KMON_LATE
from kmon.model import Scenario, Target
from kmon.output.selftest_cases import Case
from kmon.probe.attempt import Conversation
from kmon.probe.limits import Limits
from kmon.probe.recorder import AttemptId
from kmon.probe.registry import attempt_at
from kmon.probe.send import Shared, prepare
from kmon.simulator.embedded import Embedded
from kmon.stream.events import BytesArrived, DeltaArrived, Event
from kmon.stream.timeline import S

STALL_S = 5.0
"""The default threshold, in simulated seconds like the durations of the faults."""
CONNECT_TIMEOUT_S = 0.5
"""For the cases of a connect timeout."""
PATIENT_CONNECT_S = 10.0
"""For all other cases."""
UNCONNECTED = ("dns-failure", "connect-failure", "connect-timeout", "tls-failure")
LAG_EVERY_S = 0.03
KEEPALIVE_EVERY_S = 0.05
"""Time between two comments of the stream that shows whether the simulator is late."""
ENDLESS_S = 86_400.0
LATE_KEPT = 1_000
LATE_SHARE = 0.4
"""A run is repeated when this program or the simulator was late by more than this part of the stall threshold."""
QUIETER = (1, 4, 16, 64)
"""The concurrency of each pass is divided by this. A pass repeats the disturbed runs of the pass before."""
CALM_S = 0.2
"""The time without a delay before another run starts."""
SPACING_S = 0.028
"""Time between the starts of two runs, because many answers at the same moment would delay all open streams."""


class BenchCase(Protocol):
    """What is run: the way for one answer to go. ``expects`` is the right signature, None for none."""

    @property
    def name(self) -> str: ...
    @property
    def expects(self) -> str | None: ...
    @property
    def place(self) -> str:
        """The simulator's place that serves it (``simulator/endpoints.py``); empty for the simulator itself."""

    @property
    def timeout_s(self) -> float:
        """In simulated seconds."""

    def scenario(self, seed: int) -> Scenario: ...
    def target(self, origin: str) -> Target: ...


CaseT = TypeVar("CaseT", bound=BenchCase)


class RowResult(Struct, Generic[CaseT], frozen=True):
    """The signatures that kmon gave in the runs of one case, with counts; None is no signature."""

    case: CaseT
    signatures: dict[str | None, int]
    evidence: dict[str, str]
    """One line of evidence for each signature that was not expected."""
    unmeasured: int = 0
    """Runs that this machine disturbed in each pass; their signatures are not counted."""

    @property
    def runs(self) -> int:
        return sum(self.signatures.values())

    @property
    def right(self) -> int:
        return self.signatures.get(self.case.expects, 0)


class _Outcome(NamedTuple):
    """The signature of one run, None for none, and its evidence."""

    signature: str | None
    evidence: str


class Bench(Struct, Generic[CaseT], frozen=True):
    """The matrix, and the worst delay of this program's event loop in ms while it was made."""

    rows: tuple[RowResult[CaseT], ...]
    lag_ms: float
    disturbed: int = 0
    """Runs that were repeated, whatever their result, because this machine was late during them."""


async def run_bench(cases: Sequence[Case], *, seeds: int, speed: float, concurrency: int) -> Bench[Case]:
    """Run each case ``seeds`` times, ``concurrency`` at once, with thresholds and faults ``speed`` times as fast."""
    async with Embedded(speed=speed, places=tuple(dict.fromkeys(c.place for c in cases if c.place))) as simulator:
        shared = Shared()
        if simulator.authority_pem:
            shared.ssl_context.load_verify_locations(cadata=simulator.authority_pem)
        origins = {"": simulator.origin, **simulator.origins}
        return await run_cases(cases, origins, shared, seeds=seeds, speed=speed, concurrency=concurrency)


async def run_cases(
    cases: Sequence[CaseT],
    origins: Mapping[str, str],
    shared: Shared,
    *,
    seeds: int,
    speed: float,
    concurrency: int,
) -> Bench[CaseT]:
    """The same against a running simulator. ``origins`` has its origins by place; under "" its own."""
    for case in cases:  # the time of first imports and of clients made once must not count as a silence
        await prepare(case.target(origins[""]), Credential({}), shared, PATIENT_CONNECT_S)
    limit_s = STALL_S / speed * LATE_SHARE
    lag = _Lag(limit_s)
    watch = asyncio.create_task(_watch_simulator(origins[""], speed, shared, lag))

    async def one(case: CaseT, seed: int, gate: asyncio.Semaphore) -> _Outcome | None:
        """The outcome of one run; None where this machine disturbed it: a delay, or bytes that waited unread here."""
        async with gate:
            began_s = time.monotonic()
            unread_s = 0.0

            def measure(event: Event) -> None:
                nonlocal unread_s
                if isinstance(event, DeltaArrived | BytesArrived):
                    unread_s = max(unread_s, time.monotonic() - event.t_ns / S)

            outcome = await _attempt(case, seed, origins.get(case.place, origins[""]), speed, shared, emit=measure)
            late = unread_s > limit_s or lag.late_since(began_s)
            return None if late or outcome.signature == KMON_LATE else outcome

    # Seed by seed, so that the faults that hang are spread over the whole time.
    found: dict[tuple[int, int], _Outcome | None] = {
        (seed, at): None for seed in range(1, seeds + 1) for at in range(len(cases))
    }
    disturbed = 0
    for divisor in QUIETER:
        gate, runs = asyncio.Semaphore(max(1, concurrency // divisor)), {}
        for seed, at in [cell for cell, outcome in found.items() if outcome is None]:
            await lag.calm()
            runs[seed, at] = asyncio.create_task(one(cases[at], seed, gate))
        found |= dict(zip(runs, await asyncio.gather(*runs.values()), strict=True))
        disturbed += sum(found[cell] is None for cell in runs)
    lag_ms = lag.stop()
    watch.cancel()
    await asyncio.wait([watch])
    rows = [_row(case, [found[seed, at] for seed in range(1, seeds + 1)]) for at, case in enumerate(cases)]
    return Bench(tuple(rows), lag_ms, disturbed)


async def _watch_simulator(origin: str, speed: float, shared: Shared, lag: _Lag) -> None:
    """Read a stream of comments beside all others, and note the late ones: there the simulator itself was late."""
    steady = Case(f"keepalives-only:every_s={KEEPALIVE_EVERY_S * speed:g}", timeout_s=ENDLESS_S * speed)

    def note(event: Event) -> None:
        if isinstance(event, DeltaArrived):
            lag.keepalive(event.t_ns / S)

    await _attempt(steady, 1, origin, speed, shared, stall_s=ENDLESS_S, emit=note)


async def _attempt(
    case: BenchCase,
    seed: int,
    origin: str,
    speed: float,
    shared: Shared,
    *,
    stall_s: float = STALL_S,
    emit: Callable[[Event], None] = lambda _: None,
) -> _Outcome:
    scenario, target = case.scenario(seed), case.target(origin)
    attempt = attempt_at(target)(
        AttemptId("bench", 1, "first"),
        Conversation(scenario, scenario.messages),
        target=target,
        credential=Credential({}),
        limits=Limits(
            stall_s=stall_s / speed,
            timeout_s=PATIENT_CONNECT_S if case.expects in UNCONNECTED else case.timeout_s / speed,
            connect_timeout_s=CONNECT_TIMEOUT_S if case.expects == "connect-timeout" else PATIENT_CONNECT_S,
        ),
        shared=shared,
        emit=emit,
    )
    found = (await attempt.go()).signature
    return _Outcome(found.name, found.evidence)


class _Lag:
    """Measures how late timers fire here, and how late the simulator's keep-alives arrive, until :meth:`stop`.

    Only what is late by more than ``limit_s`` disturbs a run. Times are of CLOCK_MONOTONIC, in seconds.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._late: deque[tuple[float, float]] = deque(maxlen=LATE_KEPT)
        self._worst_s = 0.0
        self._keepalive_s: float | None = None
        self._arm()

    def _arm(self) -> None:
        self._due_s = time.monotonic() + LAG_EVERY_S
        self._timer = self._loop.call_later(LAG_EVERY_S, self._fire)

    def _fire(self) -> None:
        now_s = time.monotonic()
        late_s = now_s - self._due_s
        self._worst_s = max(self._worst_s, late_s)
        self._note(now_s, late_s)
        self._arm()

    def keepalive(self, at_s: float) -> None:
        """A keep-alive of the simulator arrived at ``at_s``, by the kernel's stamp where there is one."""
        if self._keepalive_s is not None:
            self._note(at_s, at_s - self._keepalive_s - KEEPALIVE_EVERY_S)
        self._keepalive_s = at_s

    def _note(self, at_s: float, late_s: float) -> None:
        if late_s > LAG_EVERY_S:
            self._late.append((at_s, late_s))

    async def calm(self) -> None:
        """Wait at least :data:`SPACING_S`, and longer while there are delays."""
        await asyncio.sleep(SPACING_S)
        if self._late:  # another delay meanwhile is for the wait before the next run
            await asyncio.sleep(max(0.0, self._late[-1][0] + CALM_S - time.monotonic()))

    def late_since(self, began_s: float) -> bool:
        """Whether a timer or keep-alive since ``began_s``, or one due now, was late by more than the limit."""
        now_s = time.monotonic()
        overdue_s = [now_s - self._due_s]
        if self._keepalive_s is not None:
            overdue_s.append(now_s - self._keepalive_s - KEEPALIVE_EVERY_S)
        late = max(overdue_s) > self._limit_s
        return late or any(at_s >= began_s and late_s > self._limit_s for at_s, late_s in self._late)

    def stop(self) -> float:
        """The worst delay of this program, in ms."""
        self._timer.cancel()
        return self._worst_s * 1000


def _row(case: CaseT, found: Sequence[_Outcome | None]) -> RowResult[CaseT]:
    outcomes = [outcome for outcome in found if outcome is not None]
    wrong = {one.signature or "nothing": one.evidence for one in outcomes if one.signature != case.expects}
    return RowResult(case, dict(Counter(one.signature for one in outcomes)), wrong, len(found) - len(outcomes))
