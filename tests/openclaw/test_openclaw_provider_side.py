"""Promises of joining both sides of a gateway: an exchange belongs to one run, and stands as it was last heard of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kmon.openclaw.protocol.run import GatewayRun
from kmon.openclaw.provider_side import CALLS_LIMIT, CallLog, provider_side
from kmon.proxy.provider_call import ProviderCall

S = 1_000_000_000


def run(name: str, began_s: float, ended_s: float | None = None) -> GatewayRun:
    began_ns = int(began_s * S)
    found = GatewayRun(name, "agent:main:x", "sent", began_ns, began_ns, t_started_ns=began_ns, lifecycle="start")
    found.t_ended_ns = None if ended_s is None else int(ended_s * S)
    return found


def call(
    name: str, opened_s: float, *, progress_s: float | None = None, finished_s: float | None = None
) -> ProviderCall:
    return ProviderCall(
        name,
        "/v1/chat/completions",
        "kimi",
        "",
        int(opened_s * S),
        last_progress_ns=None if progress_s is None else int(progress_s * S),
        chunks=0 if progress_s is None else 7,
        finished_ns=None if finished_s is None else int(finished_s * S),
    )


def side(
    one: GatewayRun, runs: list[GatewayRun], calls: list[ProviderCall], now_s: float
) -> tuple[str, float, int, float]:
    found = provider_side(one, runs, calls, int(now_s * S))
    return found.state, found.silent_s, found.chunks, found.ended_s


def test_a_run_for_which_nobody_was_asked_has_no_provider() -> None:
    one = run("a", 10)
    assert side(one, [one], [call("p1", 4)], 20)[0] == "none"


def test_an_exchange_flows_is_silent_or_has_finished() -> None:
    one = run("a", 10)
    assert side(one, [one], [call("p1", 11, progress_s=19)], 20) == ("flowing", 1.0, 7, 0.0)
    assert side(one, [one], [call("p1", 11, progress_s=15)], 20) == ("silent", 5.0, 7, 0.0)
    assert side(one, [one], [call("p1", 11)], 20) == ("silent", 9.0, 0, 0.0)
    assert side(one, [one], [call("p1", 11, progress_s=15, finished_s=16)], 20) == ("finished", 0.0, 7, 4.0)


def test_of_several_exchanges_of_a_run_the_latest_counts() -> None:
    one = run("a", 10)
    calls = [call("p1", 11, progress_s=12, finished_s=13), call("p2", 14, progress_s=19.5)]
    assert side(one, [one], calls, 20)[0] == "flowing"


def test_an_exchange_belongs_to_the_run_that_began_last_before_it() -> None:
    first, second = run("a", 10), run("b", 14)
    calls = [call("p1", 11, progress_s=12), call("p2", 15, progress_s=19)]
    assert side(first, [first, second], calls, 20) == ("silent", 8.0, 7, 0.0)
    assert side(second, [first, second], calls, 20)[0] == "flowing"


def test_a_message_that_only_waits_has_asked_nobody() -> None:
    one = run("a", 10)
    waiting = GatewayRun("q", "agent:main:x", "sent", 12 * S, 12 * S)
    assert side(one, [one, waiting], [call("p1", 13, progress_s=19)], 20)[0] == "flowing"


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), max_size=6), st.lists(st.floats(0, 60), max_size=8))
def test_no_exchange_belongs_to_two_runs(spans: list[tuple[float, float]], opened: list[float]) -> None:
    runs = [run(str(n), min(span), max(span)) for n, span in enumerate(spans)]
    for number, opened_s in enumerate(opened):
        owners = [one for one in runs if side(one, runs, [call(str(number), opened_s)], 100)[0] != "none"]
        assert len(owners) <= 1


def test_a_log_keeps_the_newest_and_the_last_word_on_each() -> None:
    log = CallLog()
    for number in range(CALLS_LIMIT + 5):
        log.record(call(f"p{number}", number))
    log.record(call("p204", 204, progress_s=205))
    assert len(log.calls) == CALLS_LIMIT
    assert log.calls[-1].last_progress_ns == 205 * S
