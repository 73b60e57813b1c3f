"""Builds the reduction of a request from the flags of ``kmon isolate --shrink``."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from kmon.commands.build_isolation import (
    cost_words,
    failing_row,
    failing_target,
    fed_plan,
    loaded_for,
    prepared,
    simulator_for,
)
from kmon.commands.build_plan import Prepared, Simulation
from kmon.commands.flags import seed_of
from kmon.config.sources import Loaded
from kmon.engine.plan import Row
from kmon.engine.selection import simulated
from kmon.errors import UsageError
from kmon.isolate.changes import unchecked
from kmon.isolate.parts import RequestParts
from kmon.isolate.shrinking import Shrinking, ShrinkSettings

MAX_REQUESTS = 400
RATE = 0.15


@dataclass(frozen=True)
class ReadyToShrink:
    """A reduction that is ready to start."""

    prepared: Prepared
    shrinking: Shrinking
    cost: str


@contextlib.contextmanager
def shrinking(options: argparse.Namespace) -> Iterator[ReadyToShrink]:
    """The reduction that the flags and the settings describe. A simulator runs as long as the context.

    Raises :class:`UsageError`, before anything is sent, for what cannot be reduced or cannot be decided.
    """
    loaded, demo = loaded_for(options)
    target = failing_target(options, loaded, demo=demo)
    reported = _whole(failing_row(options, loaded, target))
    _reduction(options, reported)  # before a simulator is started
    if not demo:
        yield _ready(options, loaded, reported)
        return
    with simulator_for(options) as simulator:
        aimed = Row(simulated(target, simulator.origin_for(target.provider)), reported.scenario)
        yield _ready(options, loaded, aimed, Simulation(simulator.origin, seed_of(options)))


def parts_of(options: argparse.Namespace) -> RequestParts:
    """What would be taken out, for ``--list``. Raises :class:`UsageError`."""
    loaded, demo = loaded_for(options)
    return RequestParts(_whole(failing_row(options, loaded, failing_target(options, loaded, demo=demo))))


def _whole(row: Row) -> Row:
    """The request as it is reduced: any answer will do, because what a right one is made of may be taken out."""
    return Row(row.target, unchecked(row.scenario))


def _ready(
    options: argparse.Namespace, loaded: Loaded, reported: Row, simulation: Simulation | None = None
) -> ReadyToShrink:
    reduction = _reduction(options, reported)
    costliest = replace(reported.scenario, max_tokens=reduction.request.max_tokens)
    plan = fed_plan(options, loaded, [Row(reported.target, costliest)], reduction.max_requests, simulation)
    return ReadyToShrink(prepared(plan, loaded), reduction, cost_words(plan))


def _reduction(options: argparse.Namespace, reported: Row) -> Shrinking:
    most = MAX_REQUESTS if options.max_requests is None else options.max_requests
    rate = RATE if options.rate is None else options.rate
    try:
        return Shrinking(reported, ShrinkSettings(rate, most, seed_of(options)))
    except ValueError as error:
        raise UsageError(f"--shrink: {error}") from None
