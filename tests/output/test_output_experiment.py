"""Promises of ``kmon test`` over real sockets: outcomes kept apart, a verdict, thresholds, and stopping when proven."""

from __future__ import annotations

import asyncio
import io
import json
from itertools import count

import msgspec

from kmon.engine.plan import Keys, RacePlan, Row
from kmon.model import AnswerCheck, PromptMessage, Scenario, Target
from kmon.output.experiment import Design, Experiment, TrialJson, TrialLines
from kmon.output.headless import race
from kmon.retry.policy import Policy
from kmon.stats.sequential_test import SequentialTest
from kmon.stats.thresholds import Thresholds
from tests.support.loopback import END, HEAD, serving
from tests.support.racing import sse, target

ASK = Scenario(
    name="tokyo", messages=(PromptMessage(role="user", content="Weather?"),), check=AnswerCheck(contains=("22",))
)
RIGHT = HEAD + sse("It is 22 degrees.", finish="stop", done=True) + END
CUT = HEAD + sse("It is") + END


async def right(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(RIGHT)


async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(CUT)


def plan(*targets: Target, rounds: int = 5) -> RacePlan:
    return RacePlan(
        rows=tuple(Row(aim, ASK) for aim in targets),
        rounds=rounds,
        stall_s=30,
        policy=Policy(timeout_s=30),
        order_seed=1,
    )


async def lines(
    race_plan: RacePlan,
    thresholds: Thresholds | None = None,
    watch: SequentialTest | None = None,
    *,
    as_json: bool = False,
) -> tuple[list[str], int]:
    design = Design(thresholds=thresholds or Thresholds(), new_watch=None if watch is None else lambda: watch)
    experiment = Experiment(race_plan, design)
    experiment.begin()
    out = io.StringIO()
    view = await race(race_plan, Keys({}), TrialJson(experiment) if as_json else TrialLines(experiment), out)
    return out.getvalue().splitlines(), experiment.exit_code(view)


async def test_lines_as_in_the_report_and_a_verdict_at_the_end() -> None:
    async with serving(right) as good, serving(cut) as bad:
        printed, code = await lines(plan(target(good, "good"), target(bad, "bad")))
    assert code == 1
    assert sum("Test" in line and "✅ OK" in line and line.startswith("good") for line in printed) == 5
    assert sum("❌ INCOMPLETE" in line and line.startswith("bad ") for line in printed) == 5
    text = "\n".join(printed)
    assert "0 % (0-52 %), 5 runs" in text
    assert "5 incomplete" in text
    assert printed[-1].startswith("Conclusion: ")


async def test_json_has_an_outcome_per_run_and_the_verdict_before_the_last_line() -> None:
    async with serving(right) as good, serving(cut) as bad:
        printed, _ = await lines(plan(target(good, "good"), target(bad, "bad"), rounds=2), as_json=True)
    events = [json.loads(line) for line in printed]
    outcomes = [event for event in events if event["type"] == "test_outcome"]
    assert {(o["target"], o["outcome"], o["passed"]) for o in outcomes} == {
        ("good", "pass", True),
        ("bad", "incomplete", False),
    }
    assert [event["type"] for event in events[-3:]][-2:] == ["verdict", "race_ended"]


async def test_thresholds_alone_decide_the_exit_code_when_one_is_set() -> None:
    async with serving(cut) as bad:
        _, lenient = await lines(plan(target(bad), rounds=2), Thresholds(fail_under=0.0))
        printed, strict = await lines(plan(target(bad), rounds=2), Thresholds(fail_under=0.95, max_ttft_s=1e-9))
    assert (lenient, strict) == (0, 1)
    broken = [line for line in printed if line.startswith("threshold missed: ")]
    assert len(broken) == 2 and "less than 95 %" in broken[0] and "first token" in broken[1]


async def test_a_proven_difference_stops_the_race_early_and_says_so() -> None:
    asked = count(1)

    async def cut_every_other(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(RIGHT if next(asked) % 2 else CUT)

    async with serving(right) as good, serving(cut_every_other) as bad:
        race_plan = plan(target(good, "good"), target(bad, "bad"), rounds=60)
        watch = SequentialTest([(row.target, row.scenario) for row in race_plan.rows])
        printed, _ = await lines(race_plan, watch=watch)
    tests = [line for line in printed if "Test" in line and ":" in line]
    assert len(tests) < 40
    assert "enough was measured" in "\n".join(printed)
    assert "This is proven after" in printed[-1]


async def test_a_target_that_never_passes_stops_the_race_and_is_not_called_proven() -> None:
    async with serving(right) as good, serving(cut) as bad:
        race_plan = plan(target(good, "good"), target(bad, "bad"), rounds=60)
        watch = SequentialTest([(row.target, row.scenario) for row in race_plan.rows])
        printed, _ = await lines(race_plan, watch=watch)
    assert len([line for line in printed if "Test" in line and ":" in line]) < 60
    assert "enough was measured" in "\n".join(printed)
    assert "bad failed 100 percentage points more often while the test ran than" in printed[-1]
    assert "it failed in every round" in printed[-1] and "is proven" not in printed[-1]


async def test_a_rate_limit_is_counted_apart() -> None:
    async def limited(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 429 No\r\ncontent-length: 4\r\n\r\nslow")

    async with serving(limited) as busy, serving(right) as good:
        printed, _ = await lines(plan(target(busy, "busy"), target(good, "good"), rounds=2), as_json=True)
    arms = {arm["target"]: arm for line in printed for arm in json.loads(line).get("arms", ())}
    assert (arms["busy"]["n"], arms["busy"]["rate_limited"], arms["busy"]["failures"]) == (0, 2, {})
    assert arms["good"]["passes"] == 2


def test_the_verdict_encodes_with_its_type() -> None:
    verdict = Experiment(plan(target("http://127.0.0.1:1")), Design()).verdict()
    assert json.loads(msgspec.json.encode(verdict))["type"] == "verdict"
