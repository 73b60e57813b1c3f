"""An isolation as a whole, on worlds without a network: its rounds, what counts, its stages, and its end."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kmon.engine.plan import Row
from kmon.isolate.answer import answer, answered
from tests.support.ended import ended
from tests.support.isolating import (
    answer_round,
    experiment,
    failing,
    has_result,
    hung,
    passed,
    play,
    refused,
    tokyo,
)


def kimi_results(row: Row) -> float:
    """The demonstration's cause."""
    return 0.4 if has_result(row) and row.target.provider == "bedrock" and "kimi" in row.target.model else 0.0


def conclusions(running: object) -> list[tuple[str, tuple[str, ...]] | None]:
    stages = running.stages  # type: ignore[attr-defined]
    return [
        None
        if stage.conclusion is None
        else (stage.conclusion.kind, tuple(stage.names[at] for at in stage.conclusion.factors))
        for stage in stages
    ]


def test_a_round_is_open_until_all_its_runs_have_ended() -> None:
    running = experiment()
    rows = running.next_round()
    assert 2 <= len(rows) <= 8 and running.requests == len(rows)
    assert running.next_round() == () and not running.over
    for place, row in enumerate(rows[1:], start=2):
        running.add(replace(passed(), run=f"r1.{place}", round=1, target=row.target.name))
    assert running.next_round() == ()
    running.add(replace(passed(), run="r1.1", round=1))
    assert running.next_round() != ()


def test_the_same_seed_sends_the_same_requests() -> None:
    names = []
    for seed in (1, 1, 2):
        running = experiment(seed=seed)
        names.append([row.scenario.name for _ in range(6) for row in answer_round(running, lambda _: passed())])
    assert names[0] == names[1] != names[2]


def test_the_budget_is_never_exceeded() -> None:
    running = play(experiment(max_requests=50), failing(lambda _: 0.1, seed=3))
    assert running.requests <= 50 and running.over


def test_a_retry_does_not_replace_a_failure() -> None:
    running = experiment()
    running.next_round()
    running.add(replace(hung(), run="r1.1", round=1, reused=True))
    running.add(replace(passed(), run="r1.1", round=1, reused=True))
    sent = running.sent("r1.1")
    assert sent is not None and sent.failed is True and running.sent("r9.9") is None and running.sent("x") is None


@pytest.mark.parametrize("reused", [True, False])
def test_a_request_for_a_used_connection_says_nothing_over_a_new_one(reused: bool) -> None:
    running = experiment("connection")
    rows = running.next_round()
    for place, row in enumerate(rows, start=1):
        end = replace(hung(), run=f"r1.{place}", round=1, reused=reused and row.target.reuse_connection)
        running.add(end)
    failed = {row.target.reuse_connection: running.sent(f"r1.{place}").failed for place, row in enumerate(rows, 1)}  # type: ignore[union-attr]
    assert failed == {False: True, True: True if reused else None}


def test_a_fault_of_new_connections_is_found() -> None:
    running = play(experiment(), failing(lambda row: 0.0 if row.target.reuse_connection else 0.5))
    assert conclusions(running)[0] == ("factor", ("connection",))
    assert "fails when it is sent over a new connection" in answer(running)


def test_what_is_rate_limited_or_cancelled_says_nothing() -> None:
    running = experiment()
    running.next_round()
    for place, end in enumerate((refused(429), ended(state="cancelled"), hung()), start=1):
        running.add(replace(end, run=f"r1.{place}", round=1, reused=True))
    assert [running.sent(f"r1.{place}").failed for place in (1, 2, 3)] == [None, None, True]  # type: ignore[union-attr]


def test_a_changed_request_that_is_refused_says_nothing_and_is_told() -> None:
    def world(row: Row) -> object:
        return refused(400) if not row.scenario.stream else passed()

    running = experiment("streaming", "tool-result")
    for _ in range(4):
        answer_round(running, world)  # type: ignore[arg-type]
    assert any("-stream" in label for label in running.refusals())
    assert "refused, so that nothing is known of them" in answer(running)


def test_a_refusal_that_the_request_as_reported_has_as_well_is_a_failure() -> None:
    running = experiment("streaming")
    for _ in range(6):
        answer_round(running, lambda _: refused(400))
    changed = [sent for each in running.rounds for sent in each.sent if not all(sent.config)]
    assert changed[-1].failed is True


def test_it_gives_up_when_all_are_rate_limited() -> None:
    running = play(experiment(), lambda _: refused(429))
    assert running.over and len(running.rounds) == 3 and not answered(running)
    assert "all requests were rate-limited; wait, or send fewer with --spacing" in answer(running)


def test_nothing_sent_is_nothing_measured() -> None:
    running = experiment()
    assert answer(running) == "bedrock/kimi-k2.5: nothing was measured; 0 requests"


def test_an_isolation_can_begin_anew() -> None:
    running = play(experiment(), lambda _: refused(429))
    running.begin()
    assert not running.over and not running.rounds and running.next_round()


def test_a_request_that_does_not_fail_is_said_not_to() -> None:
    running = play(experiment(), lambda _: passed())
    assert conclusions(running)[0] == ("does-not-fail", ())
    said = answer(running)
    assert said.startswith("bedrock/kimi-k2.5 does not fail: 0 of ") and answered(running)


def test_a_budget_that_decides_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot isolate anything"):
        experiment(max_requests=5)


def test_each_place_is_a_stage_of_its_own() -> None:
    running = experiment("elsewhere", "other-model")
    assert [stage.names for stage in (*running.stages, *running.coming)] == [("elsewhere",), ("other-model",)]


def test_a_part_is_asked_about_only_when_the_whole_made_a_difference() -> None:
    running = play(experiment(seed=3), failing(lambda row: 0.9 if has_result(row) else 0.0, seed=3))
    assert conclusions(running)[:2] == [("factor", ("tools",)), ("factor", ("tool-result",))]
    said = answer(running)
    assert "fails when the request has a tool result in its history: " in said
    assert "no difference by tools in the request alone" in said
    other = play(experiment(seed=3), failing(lambda row: 0.9 if row.scenario.stream else 0.0, seed=3))
    assert conclusions(other)[0] == ("factor", ("streaming",)) and "part" not in [stage.name for stage in other.stages]


def test_tools_by_themselves_are_told_from_the_result_that_goes_with_them() -> None:
    running = play(experiment(seed=2), failing(lambda row: 0.9 if row.scenario.tools else 0.0, seed=2))
    assert conclusions(running)[:2] == [("factor", ("tools",)), ("none-of-them", ())]
    assert "fails when the request offers tools: " in answer(running)
    assert "a tool result in its history makes no difference by itself" in answer(running)


def test_where_it_fails_is_asked_of_the_request_as_reported() -> None:
    running = play(experiment(seed=4, max_requests=400), failing(kimi_results, seed=4))
    assert conclusions(running)[2:] == [("factor", ("elsewhere",)), ("factor", ("other-model",))]
    said = answer(running)
    assert "only at this provider: " in said and " at openrouter/moonshotai/kimi-k2.5 (e = " in said
    assert "only with this model: " in said and " with bedrock/kimi-k2.5@control (e = " in said


def test_requests_that_are_too_few_to_go_on_are_told() -> None:
    found = [play(experiment(seed=seed, max_requests=64), failing(kimi_results, seed)) for seed in range(1, 9)]
    left = [running.left_out for running in found if running.left_out]
    assert left and all("requests were left, too few to tell w" in words for words in left)
    assert all(running.requests <= 64 for running in found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_the_demonstration_s_cause_is_found_and_where_it_is(seed: int) -> None:
    running = play(experiment(seed=seed), failing(kimi_results, seed))
    found = conclusions(running)
    assert found[0] in (("factor", ("tools",)), ("not-explained", ()))
    assert found[1:2] in ([("factor", ("tool-result",))], [("not-explained", ())], [])


def test_the_scenario_of_a_row_has_a_name_that_says_what_was_changed() -> None:
    running = experiment("tool-result", reported=tokyo())
    names = {row.scenario.name for _ in range(4) for row in answer_round(running, lambda _: passed())}
    assert names <= {"tool-result", "tool-result -result"}
