"""Promises about second attempts: which failures may have one, where, and how long is waited before."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.delta import StreamError
from kmon.retry.classify import Cause, cause_of, may_fall_back, reason, wait
from kmon.retry.policy import Policy
from kmon.stream.events import Ending


def http(status: int, code: str | None = None) -> StreamError:
    return StreamError("http", "said", status, code)


@pytest.mark.parametrize(
    ("state", "error", "cause"),
    [
        ("failed", http(429), "rate-limit"),
        ("failed", http(498), "rate-limit"),
        ("failed", http(500), "server-error"),
        ("failed", http(503), "server-error"),
        ("failed", http(529), "server-error"),
        ("failed", http(408), "timeout"),
        ("failed", StreamError("connect", "refused"), "connection"),
        ("failed", StreamError("dns", "no such name"), "connection"),
        ("failed", StreamError("reset", "RST"), "connection"),
        ("failed", StreamError("cut", "closed"), "connection"),
        ("failed", StreamError("websocket-closed", "closed", code="1006"), "connection"),
        ("failed", StreamError("websocket-closed", "closed", code="1013"), "server-error"),
        ("failed", StreamError("in-stream", "overloaded", 503), "server-error"),
        ("failed", StreamError("in-stream", "slow down", None, "rate_limit_error"), "rate-limit"),
        ("failed", StreamError("in-stream", "slow down", None, "throttlingException"), "rate-limit"),
        ("failed", StreamError("corrupt-frame", "checksum"), "cut-short"),
        ("incomplete", None, "cut-short"),
        ("timed-out", StreamError("timeout", "no end within 3 s"), "timeout"),
    ],
)
def test_what_passes_may_be_retried_and_asked_elsewhere(state: Ending, error: StreamError | None, cause: Cause) -> None:
    assert cause_of(state, error) == cause
    assert may_fall_back(state, error)


@pytest.mark.parametrize(
    ("state", "error", "other"),
    [
        ("failed", http(400), False),
        ("failed", http(413), False),
        ("failed", http(422), False),
        ("failed", http(401), True),
        ("failed", http(402), True),
        ("failed", http(403), True),
        ("failed", http(404), True),
        ("failed", http(501), True),
        ("failed", http(429, "insufficient_quota"), True),
        ("failed", http(429, "exceeded_current_quota_error"), True),
        ("failed", StreamError("in-stream", "bad prompt", 400), False),
        ("failed", StreamError("websocket-closed", "not allowed in", code="1008"), False),
        ("failed", StreamError("in-stream", "bad prompt", None, "invalid_request_error"), False),
        ("failed", StreamError("tls", "expired"), True),
        ("failed", StreamError("not-a-stream", "HTML", 200), True),
        ("failed", StreamError("credentials", "none"), True),
        ("failed", StreamError("not-sent", "bad parameter"), False),
        ("failed", StreamError("internal", "kmon"), False),
        ("cancelled", StreamError("cancelled", "by the user"), False),
        ("done", None, False),
    ],
)
def test_what_stays_as_it_is_is_never_retried(state: Ending, error: StreamError | None, other: bool) -> None:
    assert cause_of(state, error) is None
    assert may_fall_back(state, error) is other


@given(number=st.integers(1, 500), base_s=st.floats(0.001, 3600), cap_s=st.floats(0.001, 3600), seed=st.integers())
def test_backoff_doubles_its_bound_up_to_the_cap_and_jitters_from_zero(
    number: int, base_s: float, cap_s: float, seed: int
) -> None:
    waited = wait(Policy(retry_base_s=base_s, retry_cap_s=cap_s), number, None, Random(seed))
    assert 0 <= waited.delay_s <= min(cap_s, base_s * 2.0 ** (number - 1))
    assert waited.words == ""


@given(asked_s=st.floats(0, 1e300), number=st.integers(1, 20), seed=st.integers())
def test_retry_after_is_waited_for_at_least_but_never_longer_than_the_cap(
    asked_s: float, number: int, seed: int
) -> None:
    waited = wait(Policy(retry_base_s=1, retry_cap_s=60), number, asked_s, Random(seed))
    assert min(asked_s, 60) <= waited.delay_s <= min(60, asked_s + 1)
    assert waited.words.startswith("Retry-After")


def test_an_impossible_wait_is_cut_and_said() -> None:
    assert wait(Policy(), 1, 86_400, Random(1)) == (60, "Retry-After 86400 s cut to 60 s")


def test_the_same_seed_waits_the_same() -> None:
    assert [wait(Policy(), n, None, Random("7/r1.1")) for n in (1, 2)] == [
        wait(Policy(), n, None, Random("7/r1.1")) for n in (1, 2)
    ]


def test_reasons_are_short_and_quote_nobody() -> None:
    assert reason(StreamError("http", "HTTP 429: sk-secret", 429), "rate-limited") == "HTTP 429"
    assert reason(StreamError("in-stream", "sk-secret", 503), "error-in-stream") == "error-in-stream 503"
    assert reason(StreamError("timeout", "idle timeout: no token for 9 s"), "hang-mid-stream") == (
        "idle timeout: no token for 9 s"
    )
    assert reason(StreamError("reset", "RST"), "reset-mid-stream") == "reset-mid-stream"
    assert reason(None, "truncated-no-finish") == "truncated-no-finish"
