"""Promises of a course: whatever happens, a run makes no more attempts than its policy and its plan say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kmon.catalog.credential import Credential
from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import StreamError
from kmon.engine.plan import RacePlan, Row
from kmon.findings.signature import Signature
from kmon.model import Target
from kmon.probe.recorder import AttemptOutcome
from kmon.retry.policy import Policy
from kmon.retry.sequence import AttemptSequence, Endpoint
from kmon.stream.events import Ending
from kmon.stream.sanitize import Sanitizer
from kmon.stream.timeline import S, Timeline
from tests.support.racing import ASK

TARGETS = tuple(
    Target(name=name, provider=name, model="m", base_url=f"http://{name}.example") for name in ("one", "two", "three")
)
ERRORS: dict[str, tuple[Ending, StreamError | None]] = {
    "busy": ("failed", StreamError("http", "HTTP 503", 503)),
    "gone": ("failed", StreamError("http", "HTTP 404", 404)),
    "bad": ("failed", StreamError("http", "HTTP 400", 400)),
    "cut": ("incomplete", None),
    "done": ("done", None),
    "cancelled": ("cancelled", StreamError("cancelled", "by the user")),
}


def outcome(kind: str, *, begun: bool = False) -> AttemptOutcome:
    state, error = ERRORS[kind]
    timeline = Timeline(0, S)
    if begun:
        timeline.on_chunk(1, text=True)
    return AttemptOutcome(state, Signature(None, ""), error, Transcript(), timeline, {}, 2, Sanitizer("r", 1))


def course(policy: Policy) -> AttemptSequence:
    endpoints = [Endpoint(target, Credential({})) for target in (TARGETS[0], *policy.beside(TARGETS[0]))]
    return AttemptSequence(policy, endpoints, "r1.1")


@given(
    retries=st.integers(0, 4),
    others=st.integers(0, 2),
    kinds=st.lists(st.tuples(st.sampled_from(sorted(ERRORS)), st.booleans()), min_size=40, max_size=40),
)
def test_no_course_is_longer_than_the_plan_counts(retries: int, others: int, kinds: list[tuple[str, bool]]) -> None:
    policy = Policy(retries=retries, fallback=TARGETS[1 : 1 + others], fallback_when="anytime")
    going = course(policy)
    attempts = 1
    for kind, begun in kinds:
        step = going.after(outcome(kind, begun=begun))
        if step is None:
            break
        assert kind not in ("bad", "done", "cancelled")
        assert 1 <= step.number <= step.of
        assert ("after the first token" in step.reason) is begun
        attempts += 1
    assert attempts <= RacePlan(rows=(Row(TARGETS[0], ASK),), policy=policy).requests


def test_each_target_of_the_list_has_retries_of_its_own_and_each_request_too() -> None:
    going = course(Policy(retries=1, fallback=TARGETS[1:]))
    steps = [going.after(outcome("busy")) for _ in range(6)]
    assert [step and (step.role, step.number, step.of) for step in steps] == [
        ("retry", 1, 1),
        ("fallback", 1, 2),
        ("retry", 1, 1),
        ("fallback", 2, 2),
        ("retry", 1, 1),
        None,
    ]
    assert going.fallen_back == "three"
    going.next_request()
    again = going.after(outcome("busy"))
    assert again is not None and (again.role, going.fallen_back) == ("retry", "three")
    going.restart()
    assert going.fallen_back == ""


def test_what_only_this_target_refuses_goes_to_the_next_at_once() -> None:
    going = course(Policy(retries=3, fallback=TARGETS[1:]))
    step = going.after(outcome("gone"))
    assert step is not None and (step.role, step.delay_s, step.reason) == ("fallback", 0.0, "HTTP 404")


def test_an_answer_that_has_begun_is_not_given_up_for_another_unless_told_to() -> None:
    assert course(Policy(fallback=TARGETS[1:])).after(outcome("cut", begun=True)) is None
    anytime = course(Policy(fallback=TARGETS[1:], fallback_when="anytime")).after(outcome("cut", begun=True))
    assert anytime is not None and anytime.after_first_token
