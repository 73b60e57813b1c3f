"""Promises of a policy: what it changes by default (nothing), what it tells, and which contradictions it refuses."""

from __future__ import annotations

import pytest

from kmon.model import Target
from kmon.retry.policy import Policy, conflict, policy_words

TOGETHER = Target(name="together", provider="together", model="kimi", base_url="http://127.0.0.1:1/v1")
GROQ = Target(name="groq", provider="groq", model="kimi", base_url="http://127.0.0.1:2/v1")


def test_by_default_nothing_is_retried_and_no_silence_is_ended() -> None:
    policy = Policy()
    assert policy.non_default() == {}
    assert policy_words(policy.non_default()) == ""
    limits = policy.limits(5.0)
    assert (limits.stall_s, limits.timeout_s, limits.connect_timeout_s) == (5.0, 300.0, 10.0)
    assert {limits.header_s, limits.first_token_s, limits.byte_s, limits.chunk_s, limits.idle_s} == {None}


def test_a_policy_is_told_in_words() -> None:
    policy = Policy(first_token_timeout_s=20, idle_timeout_s=30, retries=2, fallback=(TOGETHER, GROQ))
    assert policy_words(policy.non_default()) == (
        "ends without a token after 20 s, when no token comes for 30 s; "
        "2 retries per request, first wait up to 1 s, none above 60 s; "
        "falls back to together, then groq before the first token"
    )
    few = Policy(retries=1, retry_on=("timeout",), fallback=(GROQ,), fallback_when="anytime", tools="sequential")
    assert policy_words(few.non_default()) == (
        "1 retry per request on timeout, first wait up to 1 s, none above 60 s; "
        "falls back to groq at any time; one tool call at a time"
    )


@pytest.mark.parametrize(
    ("policy", "first", "second"),
    [
        (Policy(header_timeout_s=30, first_token_timeout_s=20), "header_timeout_s", "first_token_timeout_s"),
        (Policy(header_timeout_s=301), "header_timeout_s", "timeout_s"),
        (Policy(first_token_timeout_s=60, timeout_s=20), "first_token_timeout_s", "timeout_s"),
        (Policy(byte_timeout_s=60, chunk_timeout_s=30), "byte_timeout_s", "chunk_timeout_s"),
        (Policy(byte_timeout_s=400), "byte_timeout_s", "timeout_s"),
        (Policy(chunk_timeout_s=400), "chunk_timeout_s", "timeout_s"),
        (Policy(idle_timeout_s=400), "idle_timeout_s", "timeout_s"),
        (Policy(idle_timeout_s=3), "idle_timeout_s", "stall_s"),
        (Policy(chunk_timeout_s=3), "chunk_timeout_s", "stall_s"),
        (Policy(byte_timeout_s=3), "byte_timeout_s", "stall_s"),
        (Policy(retries=1, retry_base_s=61), "retry_base_s", "retry_cap_s"),
        (Policy(retries=1, retry_on=()), "retries", "retry_on"),
        (Policy(fallback=(GROQ, GROQ)), "fallback", "fallback"),
        (Policy(fallback=(TOGETHER,)), "fallback", "target"),
    ],
)
def test_a_contradiction_is_found_and_both_settings_are_named(policy: Policy, first: str, second: str) -> None:
    found = conflict(policy, 5.0, (TOGETHER,))
    assert found is not None
    assert (found.first, found.second) == (first, second)


def test_a_list_of_fallbacks_may_hold_the_target_itself_if_it_holds_another() -> None:
    policy = Policy(fallback=(TOGETHER, GROQ))
    assert conflict(policy, 5.0, (TOGETHER, GROQ)) is None
    assert conflict(Policy(fallback=(GROQ,)), 5.0, (TOGETHER, GROQ)) is None  # then groq alone has none
    assert policy.beside(TOGETHER) == (GROQ,)
    assert policy.beside(GROQ) == (TOGETHER,)


def test_limits_in_order_are_no_contradiction() -> None:
    policy = Policy(header_timeout_s=10, first_token_timeout_s=20, byte_timeout_s=20, chunk_timeout_s=30, retries=3)
    assert conflict(policy, 5.0, (TOGETHER,)) is None


def test_once_keeps_the_limits_and_tries_nothing_again() -> None:
    policy = Policy(idle_timeout_s=9, retries=3, fallback=(GROQ,)).once()
    assert (policy.idle_timeout_s, policy.retries, policy.fallback) == (9, 0, ())
