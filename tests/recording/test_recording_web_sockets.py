"""Promises of a recorded Responses WebSocket: one exchange per turn, decoded and replayed like one over HTTP."""

from __future__ import annotations

import json
from itertools import starmap
from pathlib import Path
from typing import Any

import pytest

from kmon.cli import main
from kmon.engine.plan import RacePlan, Row
from kmon.recording.interaction import Interaction, Request
from kmon.recording.web_sockets import Dialogue, SocketMessage, interactions_of
from kmon.simulator import profile
from kmon.simulator.replay import replay_scripts, replay_targets
from kmon.simulator.server import Simulator
from tests.support.racing import outcome
from tests.support.recorded_stream import decoded

URL = "wss://api.openai.com/v1/responses"


def asked(ms: float, **members: object) -> SocketMessage:
    return SocketMessage(json.dumps({"type": "response.create", "model": "m", "input": "hello", **members}), False, ms)


def heard(ms: float, kind: str, **members: object) -> SocketMessage:
    return SocketMessage(json.dumps({"type": kind, **members}), True, ms)


def answer(ms: float, words: str, lane: dict[str, str] | None = None) -> Dialogue:
    named = lane or {}
    answered = {"id": f"resp_{words}", "model": "m", "status": "completed", "output": []}
    return [
        heard(ms, "response.created", response=answered | {"status": "in_progress"}, **named),
        heard(ms + 100, "response.output_text.delta", output_index=0, content_index=0, delta=words, **named),
        heard(ms + 200, "response.completed", response=answered, **named),
    ]


def turns(*dialogue: SocketMessage, url: str = URL) -> list[Interaction]:
    return interactions_of(Request("GET", url), list(dialogue), first_index=3)


def test_each_turn_is_an_exchange_with_its_request_and_its_times() -> None:
    between = heard(5_000, "codex.rate_limits", plan_type="plus")
    second = asked(60_000, previous_response_id="resp_one", tools=[{"type": "function", "name": "look"}])
    found = turns(asked(0), *answer(900, "one"), between, second, *answer(61_000, "two"))
    assert [(one.index, one.dialect, one.status, one.duration_ms) for one in found] == [
        (3, "responses", 200, 1_100),
        (4, "responses", 200, 1_200),
    ]
    first, then = map(decoded, found)
    assert (first.text, then.text, first.signature, then.signature) == ("one", "two", None, None)
    assert first.done and found[0].arrivals_ms == (0, 100, 200)
    assert found[1].request.members["previous_response_id"] == "resp_one" and found[1].request.wants_stream


def test_mixed_lanes_are_told_apart() -> None:
    a, b = {"stream_id": "a"}, {"stream_id": "b"}
    answers = sorted([*answer(10, "one", a), *answer(20, "two", b)], key=lambda message: message.ms or 0)
    found = turns(asked(0, **a), asked(1, **b), *answers)
    assert [decoded(one).text for one in found] == ["one", "two"]


def test_a_refused_turn_has_its_status_and_one_that_was_cut_is_truncated() -> None:
    refused = heard(5, "error", status=429, error={"type": "usage_limit_reached", "message": "used up"})
    broken = heard(25, "error", code="server_error", message="oops")
    found = turns(asked(0), refused, asked(10), *answer(12, "one")[:2], broken, asked(30), *answer(31, "two")[:2])
    first, second, third = map(decoded, found)
    assert (first.status, first.signature) == (429, "rate-limited")
    assert first.error is not None and "used up" in first.error.message
    assert (second.signature, second.text) == ("error-in-stream", "one")
    assert (third.signature, third.text) == ("truncated-no-finish", "two")


def test_a_request_without_any_answer_is_truncated_and_a_message_that_is_no_json_is_malformed() -> None:
    garbled = SocketMessage("{oops", True, 5)
    unanswered, malformed = turns(asked(0), garbled, *answer(6, "one"), asked(10))[::-1]
    assert decoded(unanswered).signature == "truncated-no-finish"
    assert (decoded(malformed).signature, decoded(malformed).text) == ("malformed-frame", "one")


def test_without_requests_the_streams_among_the_messages_are_found_as_ever() -> None:
    found = turns(*answer(0, "one"))
    assert [decoded(one).text for one in found] == ["one"]
    other = turns(asked(0), *answer(1, "one"), url="wss://example.com/socket")
    assert [decoded(one).text for one in other] == ["one"]


def _har(*dialogue: SocketMessage) -> str:
    messages = [
        {"type": "receive" if one.received else "send", "time": (one.ms or 0) / 1e3, "opcode": 1, "data": one.data}
        for one in dialogue
    ]
    request: dict[str, Any] = {"method": "GET", "url": URL, "headers": []}
    entry = {"request": request, "response": {"status": 101, "headers": [], "content": {}}}
    return json.dumps({"log": {"entries": [entry | {"_webSocketMessages": messages}]}})


def test_a_har_is_decoded_turn_by_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "socket.har"
    path.write_text(_har(asked(0), *answer(900, "one"), asked(9_000), *answer(9_100, "two")))
    assert main(["decode", "--json", str(path)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["interaction"], row["dialect"], row["text"], row["done"]) for row in rows] == [
        (0, "responses", "one", True),
        (1, "responses", "two", True),
    ]


async def test_turns_are_replayed_each_as_an_answer_over_http() -> None:
    files = {"socket.har": turns(asked(0), *answer(90, "one"), asked(900), *answer(910, "two"))}
    async with Simulator(profile.load("smooth"), replays=replay_scripts(files, speed=100)) as simulator:
        race = RacePlan(rows=tuple(starmap(Row, replay_targets(files, simulator.origin))))
        ended, _ = await outcome(race)
    assert sorted((one.state, one.text) for one in ended) == [("done", "one"), ("done", "two")]
