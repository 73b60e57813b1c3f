"""Promises of the nudge: which conversation it continues, and the sentence that says what came of it."""

from kmon.engine.nudge import FOLLOW_UP, follow_up, nudge_result
from kmon.model import Message
from kmon.stream.timeline import S, Timeline

ASKED = (Message(role="user", content="write code"),)


def line(*progress_s: float) -> Timeline:
    timeline = Timeline(0, 5 * S)
    timeline.on_phase("request_sent", 0)
    for at_s in progress_s:
        timeline.on_chunk(int(at_s * S), text=True)
    return timeline


def said(first: Timeline, nudge: Timeline, ending: object = None, *, now_s: float = 30, gap_s: float = 10) -> str:
    return nudge_result(
        first,
        nudge,
        ending,
        t_nudge=20 * S,
        gap_before_ns=int(gap_s * S),
        now_ns=int(now_s * S),  # type: ignore[arg-type]
    )


def test_the_follow_up_continues_the_conversation_with_what_was_answered_so_far() -> None:
    messages = follow_up(ASKED, "def quick")
    assert [m.role for m in messages] == ["user", "assistant", "user"]
    assert messages[1].content == "def quick"
    assert messages[2].content == FOLLOW_UP


def test_without_an_answer_so_far_no_empty_assistant_turn_is_sent() -> None:
    assert [m.role for m in follow_up(ASKED, "")] == ["user", "user"]


def test_a_first_that_resumes_is_told_with_its_delay() -> None:
    assert said(line(1, 10, 20.4, 25), line(21)) == "first resumed 0.4 s after the nudge"


def test_an_answered_nudge_beside_a_silent_first() -> None:
    assert said(line(1, 10), line(21), "done") == "nudge answered, first still silent"


def test_both_silent_is_said_once_the_nudge_has_been_silent_for_a_threshold() -> None:
    assert said(line(1, 10), line(), now_s=22) == ""
    assert said(line(1, 10), line(), now_s=26) == "both silent"


def test_a_failed_nudge_is_not_called_silence() -> None:
    assert said(line(1, 10), line(), "failed", now_s=21) == "nudge failed, first still silent"


def test_a_first_that_was_never_silent_did_not_resume() -> None:
    assert said(line(1, 19.9, 20.1), line(21), gap_s=0.1) == "first was still streaming; nudge answered"
