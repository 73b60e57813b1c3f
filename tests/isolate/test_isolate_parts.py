"""The parts of a request: every choice of them is a request that a server takes, and holds what it says."""

from __future__ import annotations

import re

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kmon.dialects.dialect import HttpDialect
from kmon.dialects.registry import dialect
from kmon.engine.plan import Row
from kmon.isolate.parts import Kept, RequestParts
from kmon.isolate.text_pieces import MOST_PIECES, WHOLE_CHARS, pieces
from kmon.model import PromptMessage, Scenario, Tool
from kmon.simulator.dialects.registry import route, server_dialects
from kmon.simulator.http import ServerRequest
from kmon.simulator.request import ChatRequest
from tests.support.hostile import CONTROL, FORBIDDEN
from tests.support.isolating import tokyo
from tests.support.shrinking import CONVERSATION, at_provider

PLAIN = replace(
    CONVERSATION,
    messages=tuple(
        replace(message, tool_calls=())
        for message in CONVERSATION.messages
        if message.role != "tool" and message.content
    ),
    tools=(),
    tool_choice=None,
    parallel_calls=None,
)
WITH_TOOLS = ["converse", "gemini", "chat", "messages", "responses", "ollama"]
REPORTED = [
    *(Row(at_provider(name), CONVERSATION) for name in WITH_TOOLS),
    Row(at_provider("deepinfra"), PLAIN),
    tokyo("bedrock/kimi-k2.5", "tool-result"),
    tokyo("together", "code-tools"),
    tokyo("gemini", "tool-call"),
    tokyo("together", "long-context:5000"),
]
NAMES = [f"{row.target.dialect} {row.scenario.name}" for row in REPORTED]


def read(row: Row) -> ChatRequest:
    """What the simulator reads of the request; it raises for what the services refuse."""
    spoken = dialect(row.target.dialect)
    assert isinstance(spoken, HttpDialect)
    sent = spoken.request(row.target, row.scenario, row.scenario.messages)
    url = httpx.URL(row.target.base_url + sent.path)
    found = route(f"/{row.target.provider}{url.path}") or route(url.path)
    assert found is not None
    headers = {name.lower(): value for name, value in sent.headers.items()}
    return found.dialect.read(
        ServerRequest(sent.method, url.path, dict(url.params), headers, sent.body), found.model, found.stream
    )


def kept_of(request: RequestParts, *words: str) -> Kept:
    """Just the parts whose words are, or begin with, one of these."""
    return tuple(any(part.words.startswith(each) for each in words) for part in request.parts)


def test_every_dialect_that_the_simulator_speaks_is_tried() -> None:
    assert {side.name for side in server_dialects()} == {row.target.dialect for row in REPORTED}


@pytest.mark.parametrize("reported", REPORTED, ids=NAMES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_choice_of_parts_is_a_request_that_a_server_takes(reported: Row, data: st.DataObject) -> None:
    request = RequestParts(reported)
    kept = tuple(data.draw(st.lists(st.booleans(), min_size=len(request.parts), max_size=len(request.parts))))
    row = request.row(kept)
    assert dialect(row.target.dialect).unsupported(row.target, row.scenario) is None
    read(row)
    messages = row.scenario.messages
    calls = [call.id for message in messages for call in message.tool_calls]
    results = [message.tool_call_id for message in messages if message.role == "tool"]
    assert calls == results, "a call keeps its result, and a result its call"
    assert all(message.content.strip() for message in messages if message.role in ("user", "system"))
    assert next(message.role for message in messages if message.role != "system") == "user"
    assert messages[-1].role in ("user", "tool")
    assert row.scenario.max_tokens <= request.max_tokens


@pytest.mark.parametrize("reported", REPORTED, ids=NAMES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_remains_is_all_that_remains(reported: Row, data: st.DataObject) -> None:
    """Keeping only what remains is the same request, and a larger choice never has fewer parts."""
    request = RequestParts(reported)
    size = len(request.parts)
    kept = tuple(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    remaining = request.remaining(kept)
    assert all(kept[at] for at in remaining)
    only = tuple(at in remaining for at in range(size))
    assert request.remaining(only) == remaining
    assert replace(request.row(only).scenario, name="") == replace(request.row(kept).scenario, name="")
    more = tuple(keep or data.draw(st.booleans()) for keep in kept)
    assert set(remaining) <= set(request.remaining(more))


@pytest.mark.parametrize("reported", REPORTED, ids=NAMES)
def test_each_part_by_itself_makes_a_difference(reported: Row) -> None:
    request = RequestParts(reported)
    everything = (True,) * len(request.parts)
    assert request.row(everything) is reported and request.remaining(everything) == tuple(range(len(request.parts)))
    for at, part in enumerate(request.parts):
        without = tuple(place != at for place in range(len(request.parts)))
        small = request.row(without).scenario
        assert at not in request.remaining(without), part.words
        assert replace(small, name="", filler_tokens=None) != replace(reported.scenario, name="", filler_tokens=None)


def test_tools_stay_declared_where_the_dialect_demands_it_and_go_where_it_does_not() -> None:
    demanding = RequestParts(tokyo("bedrock/kimi-k2.5", "tool-result"))
    alone = demanding.row(kept_of(demanding, "the call of get_weather"))
    assert [message.role for message in alone.scenario.messages] == ["user"]
    both = demanding.row(kept_of(demanding, "the call of get_weather", "the tool get_weather"))
    assert [message.role for message in both.scenario.messages] == ["user", "assistant", "tool"]
    free = RequestParts(tokyo("together", "tool-result"))
    told = free.row(kept_of(free, "the call of get_weather"))
    assert [message.role for message in told.scenario.messages] == ["user", "assistant", "tool"]
    assert told.scenario.tools == ()


def test_a_property_that_is_taken_out_is_not_required_any_more() -> None:
    request = RequestParts(Row(at_provider("chat"), CONVERSATION))
    (tool,) = request.row(kept_of(request, "the tool get_news", "the property unit of get_news")).scenario.tools
    assert tool == Tool(name="get_news", parameters={"type": "object", "properties": {"unit": {"type": "string"}}})


def test_the_last_question_is_always_asked_and_its_long_beginning_is_not() -> None:
    request = RequestParts(Row(at_provider("chat"), CONVERSATION))
    row = request.row((False,) * len(request.parts))
    assert [message.role for message in row.scenario.messages] == ["user"]
    assert row.scenario.messages[0].content.endswith("And the news, and Osaka?")
    assert len(row.scenario.messages[0].content) < len(CONVERSATION.messages[5].content) / 3
    assert row.scenario.tools == () and row.scenario.tool_choice is None and row.scenario.parallel_calls is None


def test_neighbours_of_one_role_become_one_message() -> None:
    request = RequestParts(Row(at_provider("messages"), CONVERSATION))
    row = request.row(kept_of(request, "a message of the user"))
    (message,) = row.scenario.messages
    assert message.content.startswith("Weather for Tokyo?\n\n")


def test_labels_name_the_parts_by_number() -> None:
    request = RequestParts(Row(at_provider("chat"), CONVERSATION))
    size = len(request.parts)
    assert request.label((True,) * size) == "whole request" and request.label((False,) * size) == "no parts"
    kept = tuple(at in (0, 1, 2, 6) for at in range(size))
    assert request.label(kept) == "parts 1-3 7" and request.row(kept).scenario.name == "everything parts 1-3 7"


def test_hostile_names_are_cleaned_and_short() -> None:
    tool = Tool(name=f"x{CONTROL}" * 20, parameters={"type": "object", "properties": {CONTROL: {}}})
    message = PromptMessage(role="system", content=f"{CONTROL}\nignore this")
    asked = Scenario(name="hostile", messages=(message, PromptMessage(role="user", content="Hi")), tools=(tool,))
    words = [part.words for part in RequestParts(Row(at_provider("chat"), asked)).parts]
    assert len(words) == 3
    assert all(not FORBIDDEN.search(each) and "\n" not in each and len(each) < 120 for each in words)


@given(st.text(max_size=4_000) | st.text("ab .\n", min_size=WHOLE_CHARS, max_size=4_000))
def test_the_pieces_of_a_text_are_the_text(text: str) -> None:
    cut = pieces(text)
    assert "".join(cut) == text and 1 <= len(cut) <= MOST_PIECES
    assert all(cut) or text == ""
    assert len(cut) == 1 or len(text) > WHOLE_CHARS


def test_pieces_end_where_sentences_do() -> None:
    cut = pieces("This is one sentence of several words. " * 40)
    assert len(cut) > 2 and all(re.search(r"\. \Z", each) for each in cut)
    assert len(pieces("x" * 1_000)) == 5 and len(pieces("word " * 200)) == 5
