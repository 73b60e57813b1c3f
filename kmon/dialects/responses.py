"""OpenAI Responses, which many other servers also speak: requests and whole answers; ``responses_events.py`` decodes.

A conversation is a list of items: messages, function calls and their results. The answer is not stored at the provider.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from kmon.dialects.delta import Delta
from kmon.dialects.dialect import OWN_MEMBERS, SSE_HEADERS, FinishWords, HttpDialect, Route, WireRequest
from kmon.dialects.framing import SERVER_SENT_EVENTS
from kmon.dialects.json_access import items, members, text
from kmon.dialects.responses_events import ENDS, ResponsesDecoder, ResponsesEvents
from kmon.dialects.responses_socket import ResponsesSocket
from kmon.model import PromptMessage, Scenario, Target, Tool

PATH = "/responses"
_PATH = re.compile(r"/responses(?:/resp_[^/]+)?\Z")
"""Also the path by which a client takes up the stream of an answer that goes on in the background."""
NAMED_CHOICES = ("auto", "none", "required")


class Responses(HttpDialect):
    """The output cap is always ``max_output_tokens``. Reasoning is not sent back: only its provider can make the items
    that hold it."""

    name = "responses"
    framings = (SERVER_SENT_EVENTS,)
    parallel_calls = True
    base_path = "/v1"
    models_path = "/models"
    finish_words = FinishWords(tools=frozenset(), length=frozenset({"max_output_tokens"}))
    own_members = OWN_MEMBERS | {"input"}

    def route(self, path: str) -> Route | None:
        return Route() if _PATH.search(path) else None

    def recognises(self, event: str, value: Mapping[str, Any]) -> bool:
        return text(value.get("type", event)).startswith("response.")

    def request(self, target: Target, scenario: Scenario, messages: Sequence[PromptMessage]) -> WireRequest:
        body: dict[str, Any] = {
            "model": target.model,
            "input": [item for message in messages for item in _items(message)],
            "max_output_tokens": scenario.max_tokens,
            "stream": True,
            "store": False,
        }
        if scenario.tools:
            body["tools"] = [_tool(tool) for tool in scenario.tools]
            if scenario.tool_choice is not None:
                body["tool_choice"] = _tool_choice(scenario.tool_choice)
            if scenario.parallel_calls is not None:
                body["parallel_tool_calls"] = scenario.parallel_calls
        body |= target.body
        return WireRequest(PATH, SSE_HEADERS | target.headers, msgspec.json.encode(body))

    def decoder(self) -> ResponsesDecoder:
        return ResponsesDecoder()

    def socket(self) -> ResponsesSocket:
        return ResponsesSocket()

    def whole(self, value: dict[str, Any]) -> Delta:
        """A whole answer is read as the last event of a stream in which nothing came before."""
        status = text(value.get("status"))
        ending = status if status in ENDS else ENDS[0]
        return ResponsesEvents().delta({"type": f"response.{ending}", "response": value})

    def turns(self, value: Mapping[str, Any]) -> Sequence[object]:
        """Instructions, messages and results of calls, in order; a prompt that is a string is one message."""
        given = value.get("input")
        asked = [{"role": "user", "content": given}] if isinstance(given, str) and given else items(given)
        system = [{"role": "system", "content": said}] if (said := text(value.get("instructions"))) else []
        return [*system, *(_turn(members(item)) for item in asked)]

    def tool_names(self, value: Mapping[str, Any]) -> Sequence[str]:
        """Also of tools that an item of the input adds (``additional_tools``), and of those in a namespace."""
        added = (tool for item in items(value.get("input")) for tool in items(members(item).get("tools")))
        offered = map(members, (*items(value.get("tools")), *added))
        return [text(one.get("name")) for tool in offered for one in (tool, *map(members, items(tool.get("tools"))))]


def _turn(item: dict[str, Any]) -> dict[str, Any]:
    if "output" in item and text(item.get("type")).endswith("_output"):
        return {"role": "tool", "content": item["output"]}
    return item


def _items(message: PromptMessage) -> Iterator[dict[str, Any]]:
    """The input items of one message: its text, then each of its calls."""
    if message.tool_call_id is not None:
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": message.content}
        return
    if message.content or not message.tool_calls:
        yield {"role": message.role, "content": message.content}
    for call in message.tool_calls:
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments}


def _tool(tool: Tool) -> dict[str, Any]:
    # not strict: OpenAI would refuse schemas with members that are not required
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": False,
    }


def _tool_choice(choice: str) -> str | dict[str, Any]:
    if choice in NAMED_CHOICES:
        return choice
    return "required" if choice == "any" else {"type": "function", "name": choice}
