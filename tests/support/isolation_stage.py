"""An isolation on the screen, with figures that no design made: rounds that have ended, and one that is open."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from msgspec.structs import replace

from kmon.engine.plan import RacePlan, Row
from kmon.isolate.experiment import Experiment
from kmon.isolate.requests import Config
from kmon.isolate.shrinking import Shrinking
from kmon.stats.isolation.state import Conclusion, Explanation, FactorState, IsolationState, Rate
from kmon.stats.statistics import clopper_pearson
from kmon.tui.isolation_screen import IsolationScreen
from tests.support.ended import ended
from tests.support.isolating import answer_round, experiment, hung, passed
from tests.support.scripted import S, Script
from tests.support.tui_stage import Stage

FIGURES = (  # per factor: failures and runs as reported, and changed; the probability
    ((7, 34), (5, 30), 0.004),
    ((12, 34), (0, 30), 0.96),
    ((9, 34), (3, 30), 0.03),
)
CONFIGS: tuple[Config, ...] = (
    (True, True, True),
    (False, True, False),
    (True, False, True),
    (False, False, False),
)


class PaintedIsolation:
    """Stands in for the design of a first stage: the same rounds again and again, and fixed figures."""

    def __init__(self, found: Conclusion | None) -> None:
        self._found = found

    def next_block(self) -> tuple[Config, ...]:
        return CONFIGS

    def add(self, results: Sequence[tuple[Config, bool | None]]) -> None:
        """The figures are painted."""

    def state(self) -> IsolationState:
        rows = [
            FactorState(at, rate(*reported), rate(*changed), share, 1.0, share < 0.01, "")
            for at, (reported, changed, share) in enumerate(FIGURES)
        ]
        likeliest = (Explanation("factor", (1,), 0.94),)
        return IsolationState(64, 130, 12, 0, rate(3, 8), tuple(rows), likeliest, 5.0, False, 1.0, 1.0)

    def conclusion(self) -> Conclusion | None:
        return self._found


def rate(failures: int, runs: int) -> Rate:
    return Rate(runs, failures, clopper_pearson(failures, runs))


CAUSE = Conclusion(
    kind="factor",
    factors=(1,),
    with_cause=rate(12, 34),
    without=rate(0, 30),
    probability=0.96,
    ln_e=6.8,
    alternatives=(Explanation("pair", (1, 2), 0.03),),
    requests=64,
)


def painted(rounds: int = 5, found: Conclusion | None = None) -> Experiment:
    """An isolation after so many rounds, with one more under way, or with what it ``found``."""
    running = experiment("dialect", "tools", "streaming", "elsewhere", "other-model")
    running.stages[0].isolation = PaintedIsolation(None)  # type: ignore[assignment]
    ends = cycle([hung(), passed(), passed(), passed(), hung(), passed(), hung()])
    for _ in range(rounds):
        answer_round(running, lambda _row: next(ends))
    if found is None:
        running.next_round()
    else:
        running.stages[0].isolation = PaintedIsolation(found)  # type: ignore[assignment]
    return running


def isolation_plan(running: Experiment | Shrinking) -> RacePlan:
    rows = tuple(Row(target, running.reported.scenario) for target in running.targets)
    return RacePlan(rows=rows, fed=running.max_requests, simulated=True)


def scripts_of(running: Experiment | Shrinking) -> list[Script]:
    """The runs of all rounds; of those that are open one has begun to answer."""
    found: list[Script] = []
    for each in running.rounds:
        for place, sent in enumerate(each.sent, start=1):
            run, at_s = f"r{each.number}.{place}", 10.0 * each.number
            script = Script(run, sent.row.target.name, scenario=sent.row.scenario.name, round=each.number)
            script.start(at_s)
            if sent.outcome is not None:
                script.say(at_s + 0.5, "It is 22 degrees.").finish(at_s + 1.0)
                names = {"run": run, "target": script.target, "scenario": sent.row.scenario.name, "round": each.number}
                script.events.append(replace(ended(), t_ns=int((at_s + 1.1) * S), **names))
            elif place == 2:
                script.say(at_s + 0.5, "It is 22 ")
            found.append(script)
    return found


def isolation_stage(running: Experiment | Shrinking, **options: object) -> Stage:
    at_s = 10.0 * len(running.rounds) + 7.0
    values = {"plan": isolation_plan(running), "board": True, **options}
    return Stage(scripts_of(running), at_s=at_s, options=values, overview=lambda shown: IsolationScreen(shown, running))
