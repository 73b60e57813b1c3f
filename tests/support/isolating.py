"""An isolation of the Tokyo exchange without any network: the requests, the places beside it, and worlds to try."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from msgspec.structs import replace

from kmon.catalog.load import load_catalog
from kmon.catalog.resolve import resolve_scenario, resolve_target
from kmon.dialects.delta import StreamError
from kmon.engine.plan import Row
from kmon.engine.selection import in_dialect
from kmon.isolate.changes import unchecked
from kmon.isolate.experiment import Experiment
from kmon.isolate.places import Places, control_of
from kmon.isolate.requests import chosen
from kmon.isolate.stages import Stages, StageSettings
from kmon.model import Target
from kmon.stream.events import RunEnded
from tests.support.ended import ended

CATALOG = load_catalog()
World = Callable[[Row], RunEnded]
"""How the run of a row ends; its name and round are filled in."""


def tokyo(target: str = "bedrock/kimi-k2.5", scenario: str = "tool-result") -> Row:
    return Row(resolve_target(CATALOG, target), unchecked(resolve_scenario(CATALOG, scenario)))


def beside(target: Target) -> Places:
    """The demonstration's places."""
    spoken = "messages" if target.dialect == "chat" else "chat"
    control = None if target.control_model is None else control_of(target, target.control_model)
    return Places(
        elsewhere=resolve_target(CATALOG, "openrouter/moonshotai/kimi-k2.5"),
        other_model=control,
        other_dialect=replace(in_dialect(target, spoken), name=f"{target.name}:{spoken}"),
    )


def experiment(*only: str, max_requests: int = 120, seed: int = 1, reported: Row | None = None) -> Experiment:
    """An isolation of all factors that can be varied, or ``only`` these."""
    reported = reported or tokyo()
    places = beside(reported.target)
    factors, settings = chosen(reported, places, only), StageSettings(seed=seed, block=4)
    return Experiment(lambda: Stages(reported, places, factors, settings), max_requests=max_requests)


def answer_round(running: Experiment, world: World) -> tuple[Row, ...]:
    """Send one round to the world; returns its rows."""
    rows = running.next_round()
    number = len(running.rounds)
    for place, row in enumerate(rows, start=1):
        end = world(row)
        names = {"run": f"r{number}.{place}", "round": number, "target": row.target.name, "scenario": row.scenario.name}
        running.add(replace(end, **names, reused=row.target.reuse_connection))
    return rows


def play(running: Experiment, world: World) -> Experiment:
    """The whole isolation in a world."""
    while answer_round(running, world):
        pass
    return running


def passed() -> RunEnded:
    return ended()


def hung() -> RunEnded:
    return ended(state="timed-out", text="", ttft_ms=None, duration_ms=3_000.0)


def refused(status: int) -> RunEnded:
    return ended(state="failed", text="", error=StreamError("http", f"HTTP {status}: no", status))


def failing(rate: Callable[[Row], float], seed: int = 1) -> World:
    """A world in which the request of a row hangs at a rate, each by itself."""
    random = Random(seed)
    return lambda row: hung() if random.random() < rate(row) else passed()


def has_result(row: Row) -> bool:
    return any(message.role == "tool" for message in row.scenario.messages)
