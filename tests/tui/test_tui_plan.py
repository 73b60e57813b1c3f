"""The plan: a policy is shown before the first request, with the targets it may ask and what it may cost."""

from __future__ import annotations

from kmon.engine.plan import RacePlan, Row
from kmon.model import PromptMessage, Scenario, Target
from kmon.retry.policy import Policy
from kmon.tui.plan_screen import plan_content

ASK = Scenario(name="code", messages=(PromptMessage(role="user", content="hi"),), max_tokens=100)
TOGETHER, GROQ = (
    Target(name=name, provider=name, model=f"{name}-model", base_url=f"https://{name}.example")
    for name in ("together", "groq")
)


def shown(policy: Policy) -> str:
    plan = RacePlan(rows=(Row(TOGETHER, ASK),), rounds=2, policy=policy)
    return plan_content(plan, {"together": "TOGETHER_API_KEY", "groq": "GROQ_API_KEY in .env"}, "").plain


def test_without_a_policy_the_plan_says_nothing_of_one() -> None:
    text = shown(Policy())
    assert "retr" not in text.replace("every retry by hand", "") and "2 paid requests" in text
    assert "time limit 300 s per attempt" in text


def test_limits_retries_and_fallbacks_are_in_the_plan_and_counted_as_if_needed() -> None:
    text = shown(Policy(idle_timeout_s=30, retries=2, fallback=(GROQ,)))
    assert "ends when no token comes for 30 s; 2 retries per request" in text
    assert "falls back to groq before the first token" in text
    assert "if need be" in text and "GROQ_API_KEY in .env" in text
    # per run: one request, two retries, and three more at the fallback
    assert "12 paid requests, at most 1200 output tokens in all" in text
    assert "retries and fallbacks are counted as if all were needed" in text
