"""Promises of Responses over a WebSocket: each message is of its turn, and nothing between turns is of any."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.delta import Delta
from kmon.dialects.responses import Responses
from kmon.dialects.responses_socket import LANES_LIMIT, TURNS_LIMIT, ResponsesSocket
from kmon.dialects.socket_turns import Said, Turn

NOT_FOUND = {
    "type": "error",
    "status": 400,
    "error": {
        "type": "invalid_request_error",
        "code": "previous_response_not_found",
        "message": "Previous response with id 'resp_abc' not found.",
        "param": "previous_response_id",
    },
}
"""As in OpenAI's guide."""
TOO_OLD = {
    "type": "error",
    "error": {"type": "invalid_request_error", "code": "websocket_connection_limit_reached", "message": "60 minutes"},
    "status": 400,
}
USED_UP = {"type": "error", "status": 429, "error": {"type": "usage_limit_reached", "message": "used up"}}


class Socket:
    """A socket as kmon sees it from outside."""

    def __init__(self) -> None:
        self.turns = ResponsesSocket()

    def ask(self, lane: str | None = None, **members: object) -> Turn:
        named = {} if lane is None else {"stream_id": lane}
        message = {"type": "response.create", "model": "m", "input": "hello", **named, **members}
        turn = self.turns.asked(json.dumps(message).encode())
        assert turn is not None
        return turn

    def hear(self, value: dict[str, Any], lane: str | None = None) -> Said:
        named = {} if lane is None else {"stream_id": lane}
        return self.turns.said(json.dumps(value | named).encode())

    def answer(self, words: str, lane: str | None = None, id: str = "resp_1") -> list[Said]:
        begun = {"type": "response.created", "response": {"id": id, "status": "in_progress"}}
        done = {"type": "response.completed", "response": {"id": id, "status": "completed", "output": []}}
        piece = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": words}
        return [self.hear(each, lane) for each in (begun, piece, done)]


def text(said: list[Said]) -> str:
    return "".join(each.delta.text for each in said)


def test_one_socket_carries_turns_one_after_the_other_and_between_them_nothing_is_of_a_turn() -> None:
    socket = Socket()
    first = socket.ask()
    assert socket.turns.is_due(first)
    said = socket.answer("Hel")
    assert text(said) == "Hel" and all(each.turns == (first,) for each in said)
    assert [each.ends for each in said] == [False, False, True] and said[-1].delta.done
    assert first.ended and socket.turns.open == ()
    between = socket.hear({"type": "codex.rate_limits", "plan_type": "plus"})
    assert between.turns == () and between.delta.error is None
    second = socket.ask(previous_response_id="resp_1")
    assert all(each.turns == (second,) for each in socket.answer("lo", id="resp_2"))


def test_a_request_sent_before_the_answer_to_another_waits_for_its_end() -> None:
    socket = Socket()
    first, second = socket.ask(), socket.ask()
    assert socket.turns.is_due(first) and not socket.turns.is_due(second)
    said = socket.answer("one")
    assert {each.turns for each in said} == {(first,)}
    assert said[-1].due == (second,) and socket.turns.is_due(second)
    assert {each.turns for each in socket.answer("two", id="resp_2")} == {(second,)}


def test_the_events_of_lanes_may_be_mixed() -> None:
    socket = Socket()
    plan, research = socket.ask("plan"), socket.ask("research")
    assert socket.turns.is_due(plan) and socket.turns.is_due(research)
    deltas = {plan: "", research: ""}
    for words, lane in (("a", "plan"), ("x", "research"), ("b", "plan")):
        said = socket.hear({"type": "response.output_text.delta", "delta": words}, lane)
        deltas[said.turns[0]] += said.delta.text
    assert (deltas[plan], deltas[research]) == ("ab", "x")
    assert socket.answer("", "research")[-1].turns == (research,) and not plan.ended


def test_an_error_before_the_answer_refuses_the_request_as_its_http_status_would() -> None:
    socket = Socket()
    turn = socket.ask(previous_response_id="resp_abc")
    said = socket.hear(NOT_FOUND)
    assert said.turns == (turn,) and said.ends and turn.ended
    error = said.delta.error
    assert error is not None
    assert (error.kind, error.status, error.code) == ("http", 400, "previous_response_not_found")
    assert "resp_abc" in error.message and not said.delta.done


@pytest.mark.parametrize(
    "headers", [{"headers": {"Retry-After": "7"}}, {"error": USED_UP["error"] | {"headers": {"retry-after": "7"}}}]
)
def test_the_wait_that_a_refusal_asks_for_is_read(headers: dict[str, Any]) -> None:
    socket = Socket()
    socket.ask()
    error = socket.hear(USED_UP | headers).delta.error
    assert error is not None and (error.status, error.retry_after_s) == (429, 7.0)


def test_an_error_inside_the_answer_is_one_of_the_stream_and_its_last_event_is_not_of_the_next_turn() -> None:
    socket = Socket()
    socket.ask()
    socket.hear({"type": "response.created", "response": {"id": "resp_1"}})
    following = socket.ask()
    error = socket.hear({"type": "error", "code": "server_error", "message": "upstream", "sequence_number": 3})
    assert error.ends and error.delta.error is not None and error.due == (following,)
    assert (error.delta.error.kind, error.delta.error.message) == ("in-stream", "upstream")
    late = socket.hear({"type": "response.failed", "response": {"id": "resp_1", "status": "failed"}})
    assert late.turns == () and not following.ended
    assert socket.answer("fine", id="resp_2")[-1].turns == (following,)


def test_an_error_that_names_no_lane_is_of_the_request_without_an_answer_else_of_all() -> None:
    socket = Socket()
    running = socket.ask("a")
    socket.hear({"type": "response.created", "response": {"id": "resp_1"}}, "a")
    other = socket.ask("b")
    socket.hear({"type": "response.created", "response": {"id": "resp_2"}}, "b")
    refused = socket.ask("not a valid lane!")
    assert socket.hear(NOT_FOUND).turns == (refused,)
    assert set(socket.hear(TOO_OLD).turns) == {running, other} and socket.turns.open == ()


def test_an_error_between_turns_is_of_no_turn() -> None:
    socket = Socket()
    socket.ask()
    socket.answer("hello")
    said = socket.hear(TOO_OLD)
    assert said.turns == () and not said.ends


def test_a_request_that_only_prepares_says_so() -> None:
    socket = Socket()
    assert socket.ask(generate=False).prepares
    assert not socket.ask().prepares


def test_a_steered_answer_is_followed_by_one_that_nobody_asked_for() -> None:
    socket = Socket()
    turn = socket.ask("a")
    socket.hear({"type": "response.created", "response": {"id": "resp_1"}}, "a")
    accepted = socket.hear({"type": "response.steer.accepted", "steer": {"id": "steer_1"}}, "a")
    assert accepted.turns == (turn,) and not accepted.delta.chunk and not accepted.delta.progress
    steered = {"status": "incomplete", "incomplete_details": {"reason": "steered"}}
    ended = socket.hear({"type": "response.incomplete", "response": {"id": "resp_1", **steered}}, "a")
    assert ended.ends and ended.delta.finish_reason == "steered" and ended.delta.error is None
    successor = socket.hear({"type": "response.created", "response": {"id": "resp_2"}}, "a").turns[0]
    assert successor is not turn and successor.request == turn.request
    assert socket.answer("on", "a", "resp_2")[-1].turns == (successor,)


def test_what_a_socket_says_before_any_request_is_of_no_turn() -> None:
    assert [each.turns for each in Socket().answer("hello")] == [(), (), ()]


@pytest.mark.parametrize("other", [b"", b"[]", b"nonsense", b'{"type":"response.cancel"}', b'{"type":7}', b"\xff"])
def test_another_message_of_the_client_begins_no_turn(other: bytes) -> None:
    assert ResponsesSocket().asked(other) is None


def test_a_request_of_which_only_the_beginning_is_known_begins_a_turn_in_its_lane() -> None:
    socket = Socket()
    cut = b'{"type": "response.create", "stream_id": "a", "model": "m", "input": "lon'
    turn = socket.turns.asked(cut, cut=True)
    assert turn is not None and turn.lane == "a"
    assert socket.turns.asked(b'{"type": "response.steer", "input": "lon', cut=True) is None


@pytest.mark.parametrize("message", [b"", b"nonsense", b"[1]", b"\xff\xfe", b"7", b"[" * 5_000])
def test_a_message_that_is_no_object_is_a_malformed_frame_of_the_turn_that_runs(message: bytes) -> None:
    socket = Socket()
    turn = socket.ask()
    said = socket.turns.said(message)
    assert said.turns == (turn,) and not said.ends
    assert said.delta.error is not None and said.delta.error.kind == "malformed-frame"


def test_lanes_and_open_turns_are_bounded() -> None:
    socket = Socket()
    for number in range(LANES_LIMIT):
        socket.ask(f"lane-{number}")
    assert socket.turns.asked(b'{"type":"response.create","stream_id":"one more"}') is None
    for _ in range(TURNS_LIMIT - LANES_LIMIT):
        socket.ask("lane-0")
    assert socket.turns.asked(b'{"type":"response.create","stream_id":"lane-0"}') is None


def test_the_message_is_the_http_request_without_what_belongs_to_http() -> None:
    body = json.dumps({"model": "m", "input": "hello", "stream": True, "store": False, "tools": []}).encode()
    message = json.loads(ResponsesSocket().message(body))
    assert message == {"type": "response.create", "model": "m", "input": "hello", "store": False, "tools": []}


def test_the_dialect_takes_base_urls_of_both_and_the_url_decides_what_carries_it() -> None:
    spoken = Responses()
    assert spoken.schemes == ("http", "https", "ws", "wss")
    assert spoken.transport_to("https://api.openai.com/v1") == "http"
    assert spoken.transport_to("wss://api.openai.com/v1") == "turns"


NAMES = st.sampled_from(["type", "stream_id", "response", "id", "error", "status", "headers", "retry-after", "code"])
WORDS = st.sampled_from(["response.create", "response.created", "response.completed", "response.failed", "error", "a"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
MESSAGES = st.binary(max_size=20) | VALUES.map(lambda value: json.dumps(value).encode())


@given(st.lists(st.tuples(st.booleans(), st.booleans(), MESSAGES), max_size=20))
def test_no_dialogue_breaks_it_and_every_turn_is_open_or_has_ended(
    dialogue: list[tuple[bool, bool, bytes]],
) -> None:
    turns, known = ResponsesSocket(), set[Turn]()
    for sent, cut, data in dialogue:
        if sent:
            asked = turns.asked(data, cut=cut)
            known |= {asked} - {None}  # type: ignore[arg-type]
        else:
            said = turns.said(data, cut=cut)
            known |= set(said.turns)
            assert all(turn.ended == said.ends for turn in said.turns)
            assert all(turns.is_due(turn) for turn in said.due)
    assert {turn for turn in known if not turn.ended} == set(turns.open)


def test_a_delta_without_a_turn_has_no_output() -> None:
    said = Socket().hear({"type": "response.output_text.delta", "delta": "words"})
    assert said.delta == Delta(chunk=False, raw=said.delta.raw)
