"""Promises about retries and fallbacks, proven on the other side: what the simulator's ledger saw of each."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kmon.engine.plan import RacePlan, Row
from kmon.model import Chain, PromptMessage, Scenario, Target, Tool
from kmon.retry.policy import Policy
from kmon.simulator import profile
from kmon.simulator.server import Simulator
from kmon.stream import events as ev
from tests.support.racing import ASK, Watched, racing
from tests.support.scripted_provider import in_turn, writing
from tests.support.scripted_provider import provider as scripted

SPEED = 50.0


@contextlib.asynccontextmanager
async def provider(tmp_path: Path, rules: str) -> AsyncIterator[Simulator]:
    file = tmp_path / "profile.toml"
    file.write_text(rules)
    async with Simulator(profile.load(str(file)), speed=SPEED) as simulator:
        yield simulator


def at(sim: Simulator, name: str) -> Target:
    return Target(name=name, provider=name, model="kimi", base_url=sim.base_url(name), simulated=True)


def plan(
    sim: Simulator, name: str, *fallback: str, scenario: Scenario = ASK, stall_s: float = 30.0, **options: object
) -> RacePlan:
    options = {"timeout_s": 20.0, "retry_base_s": 0.02, "jitter_seed": 1, **options}
    policy = Policy(fallback=tuple(at(sim, other) for other in fallback), **options)  # type: ignore[arg-type]
    return RacePlan(rows=(Row(at(sim, name), scenario),), policy=policy, stall_s=stall_s, simulated=True)


async def race_of(race: RacePlan) -> tuple[ev.RunEnded, Watched]:
    async with racing(race) as watched:
        await watched.until(lambda event: isinstance(event, ev.RaceEnded))
        ended = await watched.ended()
    return ended, watched


def seen(sim: Simulator) -> list[tuple[str, str, int, str]]:
    """What the provider's ledger holds: provider, fault, status, and how each exchange ended."""
    rows = sim.request_log.report(stamps=False)["requests"]
    return [(row["provider"], row["fault"], row["status"], row["ended"]) for row in rows]


def connections(sim: Simulator) -> tuple[int, int]:
    found = sim.request_log.report(stamps=False)["connections"]
    return found["opened"], found["open"]


async def all_closed(sim: Simulator) -> None:
    async with asyncio.timeout(10):
        while sim.request_log.opened > sim.request_log.closed:
            await asyncio.sleep(0.01)


def scheduled(watched: Watched) -> list[ev.RetryScheduled]:
    return [event for event in watched.events if isinstance(event, ev.RetryScheduled)]


def roles(watched: Watched) -> list[tuple[str, str]]:
    return [(e.role, e.target) for e in watched.events if isinstance(e, ev.AttemptStarted)]


LIMITED = '[[rule]]\nprovider = "one"\nfirst = 1\nfault = "rate-limited"\nretry_after_s = {s}\nwritten = "{written}"\n'


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("seconds", "HTTP 429, Retry-After"),
        ("milliseconds", "HTTP 429, Retry-After"),
        ("absent", "HTTP 429"),
    ],
)
async def test_a_rate_limit_is_waited_out_and_the_second_request_is_answered(
    tmp_path: Path, written: str, words: str
) -> None:
    async with provider(tmp_path, LIMITED.format(s=0, written=written)) as sim:
        ended, watched = await race_of(plan(sim, "one", retries=2))
        await all_closed(sim)
        assert seen(sim) == [("one", "rate-limited", 429, "clean"), ("one", "smooth", 200, "clean")]
        assert connections(sim) == (2, 0)
    assert (ended.state, ended.attempts, ended.retries, ended.fallback_target) == ("done", 2, 1, "")
    (told,) = scheduled(watched)
    assert (told.reason, told.number, told.of, told.role, told.target) == (words, 1, 2, "retry", "one")
    assert not told.after_first_token
    assert roles(watched) == [("first", ""), ("retry", "")]
    run = watched.view.runs["r1.1"]
    assert [a.ending for a in run.attempts] == ["failed", "done"]


async def test_a_retry_after_that_is_a_date_is_waited_for_on_the_wire_up_to_the_cap(tmp_path: Path) -> None:
    async with provider(tmp_path, LIMITED.format(s=2, written="date")) as sim:
        ended, watched = await race_of(plan(sim, "one", retries=1, retry_cap_s=1.0))
        first, second = sim.request_log.report(stamps=False)["requests"]
    (told,) = scheduled(watched)
    assert told.delay_ms == 1000
    assert told.retry_after_ms is not None and told.retry_after_ms > 1000
    assert "cut to 1 s" in told.reason
    assert second["t_accept_ns"] - first["t_ended_ns"] >= 0.9e9
    assert ended.state == "done"


async def test_the_wait_that_an_error_inside_a_stream_asks_for_is_kept() -> None:
    """Gemini sends its errors in the body, also below a status 200, with the delay among their details."""
    delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.125s"}
    limited = {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": [delay]}
    whole = {"candidates": [{"content": {"parts": [{"text": "Hello"}]}, "finishReason": "STOP"}]}
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    async with scripted(in_turn(*(writing(head + event(said)) for said in ({"error": limited}, whole)))) as seen:
        target = Target(name="g", provider="google", model="m", base_url=f"{seen.url}/v1beta", dialect="gemini")
        policy = Policy(timeout_s=20.0, retries=1, retry_base_s=0.02, jitter_seed=1)
        ended, watched = await race_of(RacePlan(rows=(Row(target, ASK),), policy=policy, stall_s=30.0))
    (told,) = scheduled(watched)
    assert told.retry_after_ms == 125 and told.delay_ms >= 125
    assert told.reason == "error-in-stream 429, Retry-After"
    assert (ended.state, ended.text, len(seen.asked)) == ("done", "Hello", 2)


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


async def test_a_reset_after_the_first_token_is_retried_and_marked(tmp_path: Path) -> None:
    rules = '[[rule]]\nfirst = 1\nfault = "reset-mid-chunk"\nafter_tokens = 5\n'
    async with provider(tmp_path, rules) as sim:
        ended, watched = await race_of(plan(sim, "one", retries=1))
        assert seen(sim) == [("one", "reset-mid-chunk", 200, "reset"), ("one", "smooth", 200, "clean")]
        cut, whole = sim.request_log.report(stamps=False)["requests"]
        assert 0 < cut["bytes"] < whole["bytes"]
    (told,) = scheduled(watched)
    assert told.after_first_token
    assert told.reason == "reset-mid-stream, after the first token"
    assert (ended.state, ended.retries) == ("done", 1)


async def test_without_a_policy_a_failure_stands_after_one_request(tmp_path: Path) -> None:
    async with provider(tmp_path, '[[rule]]\nfault = "http-500"\n') as sim:
        ended, watched = await race_of(plan(sim, "one"))
        assert seen(sim) == [("one", "http-500", 500, "clean")]
    assert (ended.state, ended.attempts, ended.retries) == ("failed", 1, 0)
    assert scheduled(watched) == []


async def test_retries_end_when_they_are_used_up_and_the_last_failure_stands(tmp_path: Path) -> None:
    async with provider(tmp_path, '[[rule]]\nfault = "http-500"\n') as sim:
        ended, watched = await race_of(plan(sim, "one", retries=2))
        assert [fault for _, fault, _, _ in seen(sim)] == ["http-500"] * 3
    assert (ended.state, ended.signature, ended.attempts) == ("failed", "http-server-error", 3)
    assert [told.number for told in scheduled(watched)] == [1, 2]


async def test_a_cause_that_is_not_listed_is_not_retried(tmp_path: Path) -> None:
    async with provider(tmp_path, '[[rule]]\nfault = "http-500"\n') as sim:
        await race_of(plan(sim, "one", retries=2, retry_on=("rate-limit",)))
        assert len(seen(sim)) == 1


async def test_an_unknown_model_is_not_retried_but_asked_elsewhere(tmp_path: Path) -> None:
    async with provider(tmp_path, '[[rule]]\nprovider = "one"\nfault = "unknown-model"\n') as sim:
        ended, _ = await race_of(plan(sim, "one", "two", retries=3))
        assert [(name, status) for name, _, status, _ in seen(sim)] == [("one", 404), ("two", 200)]
    assert (ended.state, ended.fallback_target) == ("done", "two")


async def test_a_silent_target_is_left_before_its_first_token_for_the_next(tmp_path: Path) -> None:
    async with provider(tmp_path, '[[rule]]\nprovider = "one"\nfault = "headers-then-nothing"\n') as sim:
        ended, watched = await race_of(plan(sim, "one", "two", first_token_timeout_s=0.5))
        await all_closed(sim)
        assert [(name, how) for name, _, _, how in seen(sim)] == [("one", "client"), ("two", "clean")]
        assert connections(sim) == (2, 0)
        mute = sim.request_log.report(stamps=False)["requests"][0]
        assert mute["chunks"] == 0
    assert (ended.target, ended.fallback_target, ended.state, ended.retries) == ("one", "two", "done", 1)
    (told,) = scheduled(watched)
    assert (told.role, told.target, told.number, told.of, told.delay_ms) == ("fallback", "two", 1, 1, 0)
    assert roles(watched) == [("first", ""), ("fallback", "two")]
    first, second = watched.view.runs["r1.1"].attempts
    assert (first.ending, first.signature, first.error and first.error.code) == (
        "timed-out",
        "no-first-token",
        "first_token_timeout_s",
    )
    assert (second.target, second.ending) == ("two", "done")


async def test_the_list_is_followed_to_its_end_each_target_with_its_own_retries(tmp_path: Path) -> None:
    rules = '[[rule]]\nprovider = "one"\nfault = "http-500"\n[[rule]]\nprovider = "two"\nfault = "overloaded"\n'
    async with provider(tmp_path, rules) as sim:
        ended, _ = await race_of(plan(sim, "one", "two", "three", retries=1))
        assert [name for name, *_ in seen(sim)] == ["one", "one", "two", "two", "three"]
    assert (ended.state, ended.fallback_target, ended.attempts) == ("done", "three", 5)


async def test_a_fallback_may_speak_another_dialect(tmp_path: Path) -> None:
    async with provider(tmp_path, '[[rule]]\nprovider = "one"\nfault = "http-500"\n') as sim:
        race = plan(sim, "one")
        claude = Target(name="two", provider="two", model="k", dialect="messages", base_url=f"{sim.origin}/two")
        policy = Policy(timeout_s=20.0, fallback=(claude,))
        ended, _ = await race_of(RacePlan(rows=race.rows, policy=policy, stall_s=30, simulated=True))
        requests = sim.request_log.report(stamps=False)["requests"]
    assert [(row["dialect"], row["status"]) for row in requests] == [("chat", 500), ("messages", 200)]
    assert (ended.state, ended.fallback_target, bool(ended.text)) == ("done", "two", True)


HANGS = '[[rule]]\nprovider = "one"\nfault = "hang-mid-stream"\nafter_tokens = 5\n'


async def test_an_answer_that_has_begun_is_given_up_only_if_the_policy_says_so(tmp_path: Path) -> None:
    async with provider(tmp_path, HANGS) as sim:
        stays, _ = await race_of(plan(sim, "one", "two", idle_timeout_s=0.4, stall_s=0.3))
        leaves, watched = await race_of(
            plan(sim, "one", "two", idle_timeout_s=0.4, stall_s=0.3, fallback_when="anytime")
        )
        assert [name for name, *_ in seen(sim)] == ["one", "one", "two"]
    assert (stays.state, stays.signature) == ("timed-out", "hang-mid-stream")
    assert stays.error is not None and stays.error.message == "idle timeout: no token for 0.4 s"
    assert (leaves.state, leaves.fallback_target) == ("done", "two")
    (told,) = scheduled(watched)
    assert told.after_first_token


async def test_cancel_while_waiting_opens_no_further_connection(tmp_path: Path) -> None:
    async with provider(tmp_path, '[[rule]]\nfault = "rate-limited"\nretry_after_s = 50\n') as sim:
        async with racing(plan(sim, "one", "two", retries=3)) as watched:
            await watched.until(lambda e: isinstance(e, ev.RetryScheduled))
            await watched.do("cancel")
            ended = await watched.ended()
            await watched.until(lambda e: isinstance(e, ev.RaceEnded))
        await all_closed(sim)
        assert connections(sim) == (1, 0)
        assert len(seen(sim)) == 1
    assert (ended.state, ended.attempts) == ("cancelled", 1)
    assert ended.error is not None
    assert ended.error.message == "cancelled before retry 1 of 3 (HTTP 429, Retry-After)"


async def test_closing_a_race_does_not_wait_for_what_it_waits_for(tmp_path: Path) -> None:
    async with provider(tmp_path, '[[rule]]\nfault = "rate-limited"\nretry_after_s = 50\n') as sim:
        async with racing(plan(sim, "one", retries=3)) as watched:
            await watched.until(lambda e: isinstance(e, ev.RetryScheduled))
        assert connections(sim)[0] == 1
    assert [e.state for e in watched.events if isinstance(e, ev.RunEnded)] == ["cancelled"]


async def test_retry_by_hand_ends_the_wait_at_once(tmp_path: Path) -> None:
    async with provider(tmp_path, '[[rule]]\nfirst = 1\nfault = "rate-limited"\nretry_after_s = 50\n') as sim:
        async with racing(plan(sim, "one", retries=1)) as watched:
            await watched.until(lambda e: isinstance(e, ev.RetryScheduled))
            await watched.do("retry")
            ended = await watched.ended()
        assert [fault for _, fault, _, _ in seen(sim)] == ["rate-limited", "smooth"]
    assert (ended.state, ended.attempts, ended.retries) == ("done", 2, 1)


async def test_an_impatient_retry_by_hand_is_one_attempt_not_two(tmp_path: Path) -> None:
    async with provider(tmp_path, '[[rule]]\nfirst = 1\nfault = "rate-limited"\nretry_after_s = 50\n') as sim:
        async with racing(plan(sim, "one", retries=1)) as watched:
            await watched.until(lambda e: isinstance(e, ev.RetryScheduled))
            await watched.do("retry")
            await watched.do("retry")
            await watched.until(lambda e: isinstance(e, ev.RaceEnded))
        assert len(seen(sim)) == 2
    assert len([e for e in watched.events if isinstance(e, ev.RunEnded)]) == 1


async def test_a_nudge_while_waiting_is_explained_not_sent(tmp_path: Path) -> None:
    async with provider(tmp_path, '[[rule]]\nfault = "rate-limited"\nretry_after_s = 50\n') as sim:
        async with racing(plan(sim, "one", retries=1)) as watched:
            await watched.until(lambda e: isinstance(e, ev.RetryScheduled))
            await watched.do("nudge")
            notice = await watched.until(lambda e: isinstance(e, ev.Notice))
        assert len(seen(sim)) == 1
    assert isinstance(notice, ev.Notice) and "waits for another attempt" in notice.message


async def test_a_nudge_is_one_more_connection_and_both_are_closed_at_the_end(tmp_path: Path) -> None:
    rules = '[[rule]]\nnudge = false\nfault = "hang-mid-stream"\nafter_tokens = 5\n'
    async with provider(tmp_path, rules) as sim:
        async with racing(plan(sim, "one", stall_s=0.2)) as watched:
            await watched.until(lambda e: isinstance(e, ev.StallStarted))
            await watched.do("nudge")
            await watched.until(lambda e: isinstance(e, ev.AttemptEnded) and e.role == "nudge")
            assert connections(sim)[0] == 2
            await watched.do("cancel")
            await watched.ended()
        await all_closed(sim)
        assert [how for *_, how in seen(sim)] == ["client", "clean"]
        assert connections(sim) == (2, 0)


CHAIN = Scenario(
    name="tool-chain",
    messages=(PromptMessage(role="user", content="Walk a treasure trail in 2 steps with the follow_clue tool."),),
    tools=(Tool(name="follow_clue", parameters={"type": "object", "properties": {"clue": {"type": "string"}}}),),
    chain=Chain(steps=2, results={"follow_clue": '{"clue": "{n}"}'}),
)


async def test_a_turn_of_a_chain_is_retried_where_it_stands(tmp_path: Path) -> None:
    rules = '[[rule]]\ntool_result = true\nfirst = 1\nfault = "http-500"\n'
    async with provider(tmp_path, rules) as sim:
        ended, watched = await race_of(plan(sim, "one", retries=1, scenario=CHAIN))
        requests = sim.request_log.report(stamps=False)["requests"]
    failed = [n for n, row in enumerate(requests) if row["fault"] == "http-500"]
    assert failed
    for n in failed:  # the very same conversation again, not the first one
        assert requests[n]["conversation"] == requests[n + 1]["conversation"]
    assert (ended.state, ended.retries) == ("done", len(failed))
    turns = [(e.role, e.turn) for e in watched.events if isinstance(e, ev.AttemptStarted)]
    assert turns[:3] == [("first", 1), ("turn", 2), ("retry", 2)]
