"""The tool calls of the simulated model: which of the offered tools, how often, with what arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from kmon.simulator.prompt import PLACE, asks_for_code, chain, first_prompt, is_nudge, last_prompt, places, quoted
from kmon.simulator.request import ChatRequest, OfferedFunction

WORD = re.compile(r"[a-z]{4,}")
SOMEWHERE = ("Tokyo", "Paris", "Lima", "Oslo", "Nairobi", "Florence", "Quito", "Hanoi")


class Call(Struct, frozen=True):
    """One tool call."""

    name: str
    arguments: dict[str, Any]


def calls(request: ChatRequest) -> list[Call]:
    """The calls in the next turn of the conversation; none when it is a text."""
    offered = [tool.function for tool in request.tools or ()]
    if not offered or request.tool_choice == "none" or is_nudge(request):
        return []
    prompt = first_prompt(request)
    wanted = None if asks_for_code(prompt) else chain(prompt)
    if wanted is not None:
        done = sum(message.role == "tool" for message in request.messages)
        tool = _forced(request, offered) or _ranked(offered, prompt)[0]
        result = _last_result(request)
        return [
            Call(tool.name, _arguments(tool, _chain_value(prompt, number, result)))
            for number in range(done, done + wanted.due(done))
        ]
    if _results_came(request):
        return []
    chosen = _chosen(request, offered)
    if chosen is None:
        return []
    place = PLACE.search(last_prompt(request))
    return [Call(chosen.name, _arguments(chosen, lambda _: place.group(1) if place else SOMEWHERE[0]))]


def _results_came(request: ChatRequest) -> bool:
    """Whether there is a tool result after the last assistant message; a gateway may add messages after it."""
    for message in reversed(request.messages):
        if message.role in ("tool", "assistant"):
            return message.role == "tool"
    return False


def _chosen(request: ChatRequest, offered: list[OfferedFunction]) -> OfferedFunction | None:
    """The tool for the last message: the one of ``tool_choice``, or the one that shares most words with it."""
    if isinstance(request.tool_choice, dict):
        return _forced(request, offered)
    prompt = last_prompt(request)
    best = _ranked(offered, prompt)[0]
    if request.tool_choice == "required":
        return best
    return None if asks_for_code(prompt) or not _overlap(best, prompt) else best


def _forced(request: ChatRequest, offered: list[OfferedFunction]) -> OfferedFunction | None:
    if not isinstance(request.tool_choice, dict):
        return None
    wanted = request.tool_choice.get("function")
    name = wanted.get("name") if isinstance(wanted, dict) else None
    return next((tool for tool in offered if tool.name == name), None)


def _ranked(offered: list[OfferedFunction], prompt: str) -> list[OfferedFunction]:
    return sorted(offered, key=lambda tool: -_overlap(tool, prompt))


def _overlap(tool: OfferedFunction, prompt: str) -> int:
    about = set(WORD.findall(f"{tool.name} {tool.description} {' '.join(_properties(tool))}".lower()))
    return len(about & set(WORD.findall(prompt.lower())))


def _properties(tool: OfferedFunction) -> dict[str, Any]:
    properties = tool.parameters.get("properties")
    return properties if isinstance(properties, dict) else {}


def _last_result(request: ChatRequest) -> dict[str, Any]:
    """The members of the tool result at the end; {} for none."""
    if not request.tool_result:
        return {}
    try:
        found = json.loads(request.messages[-1].text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _chain_value(prompt: str, number: int, result: dict[str, Any]) -> Callable[[str], object]:
    """The value of a parameter, by its name, in the ``number``-th call of a chain (from 0).

    Values or places that the prompt enumerates are taken in turn; otherwise it is the member of that name in the
    tool result before.
    """

    def value(name: str) -> object:
        given = quoted(prompt, name)
        listed = given if len(given) > 1 else places(prompt)
        if listed:
            return listed[number % len(listed)]
        return result.get(name, given[0] if given else SOMEWHERE[number % len(SOMEWHERE)])

    return value


def _arguments(tool: OfferedFunction, value: Callable[[str], object]) -> dict[str, Any]:
    """Arguments by the tool's JSON Schema: required members, or all when none is required."""
    properties = _properties(tool)
    required = tool.parameters.get("required")
    names = [n for n in required if n in properties] if isinstance(required, list) and required else list(properties)
    return {name: _fitting(properties[name], value(name)) for name in names}


def _fitting(schema: object, value: object) -> object:
    """``value`` where the schema takes a string, else a value of the schema's type."""
    if not isinstance(schema, dict):
        return "value"
    if isinstance(choices := schema.get("enum"), list) and choices:
        return choices[0]
    match schema.get("type"):
        case "integer":
            return value if isinstance(value, int) else 1
        case "number":
            return value if isinstance(value, int | float) else 1.5
        case "boolean":
            return True
        case "array":
            return []
        case "object":
            return {}
    return value if isinstance(value, str) else str(value)
