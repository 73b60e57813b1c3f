"""Gemini's ``streamGenerateContent``, at the Gemini API and at Vertex: requests, streams and whole answers.

kmon asks for server-sent events (``alt=sse``). Without that the answer is one JSON array that grows, which is read too.
The model is in the path. The key is the header ``x-goog-api-key``; Vertex takes a bearer token, and its base URL ends
in ``/publishers/google``. Requests of other programs may be written in ``snake_case``, which Google accepts as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from kmon.dialects.delta import Delta
from kmon.dialects.dialect import FAILED, SSE_HEADERS, FinishWords, HttpDialect, Route, WireRequest, error_member
from kmon.dialects.framing import JSON_ARRAY, SERVER_SENT_EVENTS
from kmon.dialects.gemini_stream import GeminiAnswer, GeminiDecoder, described, unwrapped
from kmon.dialects.json_access import items, members, text
from kmon.dialects.turns import Turn, system_of, turns_of
from kmon.model import Auth, PromptMessage, Scenario, Target, Tool

_PATH = re.compile(r"(?:/(?:models|tunedModels|endpoints)/(?P<model>.+)|/v1\w*):(?P<operation>\w+)\Z")
_VERTEX = "/publishers/google"
"""The end of a base URL at Google Vertex."""
OPERATIONS = {"streamGenerateContent": True, "generateContent": False}
"""Whether an operation streams."""
_CHECKS_SIGNATURES = re.compile(r"gemini-(?:[3-9]|\d\d)")
UNSIGNED = "skip_thought_signature_validator"
"""Google's word in place of the signature that Gemini 3 and later demand of a call in the conversation."""
ROLES = {"model": "assistant"}
NO_REASON_TOLD = frozenset({"other", "image_other"})
"""Finish reasons of an answer that was withheld, beside those of all dialects: only ``STOP`` and ``MAX_TOKENS`` are no
failures."""


class Gemini(HttpDialect):
    """The dialect has no word for a finish with tool calls: such an answer ends with ``STOP``."""

    name = "gemini"
    framings = (SERVER_SENT_EVENTS, JSON_ARRAY)
    auth: Auth = "x-goog-api-key"
    base_path = "/v1beta"
    models_path = "/models?pageSize=1000"
    finish_words = FinishWords(
        tools=frozenset(), length=frozenset({"MAX_TOKENS"}), failed=FAILED | NO_REASON_TOLD, more_follows=True
    )
    own_members = frozenset({"contents", "tools"})

    def route(self, path: str) -> Route | None:
        found = _PATH.search(unquote(path))
        if found is None or found["operation"] not in OPERATIONS:
            return None
        return Route(found["model"] or "", OPERATIONS[found["operation"]])

    def recognises(self, event: str, value: Mapping[str, Any]) -> bool:
        value = unwrapped(dict(value))
        return isinstance(value.get("candidates"), list) or "promptFeedback" in value or "usageMetadata" in value

    def request(self, target: Target, scenario: Scenario, messages: Sequence[PromptMessage]) -> WireRequest:
        body: dict[str, Any] = {"contents": _contents(messages, target.model)}
        if system := system_of(messages):
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if scenario.tools:
            body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in scenario.tools]}]
            if scenario.tool_choice is not None:
                body["toolConfig"] = {"functionCallingConfig": _tool_choice(scenario.tool_choice)}
        body |= target.body
        limit = {"maxOutputTokens": scenario.max_tokens}
        body["generationConfig"] = limit | members(target.body.get("generationConfig"))
        path = f"/models/{quote(target.model.removeprefix('models/'), safe='')}:streamGenerateContent?alt=sse"
        return WireRequest(path, SSE_HEADERS | target.headers, msgspec.json.encode(body))

    def unstreamed(self, request: WireRequest) -> WireRequest:
        path = request.path.replace(":streamGenerateContent?alt=sse", ":generateContent")
        return msgspec.structs.replace(request, path=path, headers=request.headers | {"Accept": "application/json"})

    def decoder(self) -> GeminiDecoder:
        return GeminiDecoder()

    def whole(self, value: dict[str, Any]) -> Delta:
        return GeminiAnswer().delta(value)

    def error_in(self, value: object) -> object:
        """The error; without ``alt=sse`` it is the element of an array."""
        found = next((one for one in value if "error" in members(one)), value) if isinstance(value, list) else value
        return described(error_member(found))

    def turns(self, value: Mapping[str, Any]) -> Sequence[object]:
        value = _asked(value)
        system = members(_either(value, "systemInstruction", "system_instruction"))
        spoken = [members(content) for content in items(value.get("contents"))]
        roles = (text(content.get("role")) or "user" for content in spoken)
        return [
            *([{"role": "system", "content": system.get("parts")}] if system else []),
            *(
                {"role": ROLES.get(role, role), "content": content.get("parts")}
                for role, content in zip(roles, spoken, strict=True)
            ),
        ]

    def tool_names(self, value: Mapping[str, Any]) -> Sequence[str]:
        offered = map(members, items(_asked(value).get("tools")))
        declared = (items(_either(tool, "functionDeclarations", "function_declarations")) for tool in offered)
        return [text(members(one).get("name")) for listed in declared for one in listed]

    def models_url(self, base_url: str) -> str | None:
        """None at Vertex, whose list is of all models that there are, and needs a quota project."""
        return None if base_url.endswith(_VERTEX) else super().models_url(base_url)

    def models_in(self, value: object) -> list[str] | None:
        """The ids in ``{"models": [{"name": "models/ID"}]}``, in Vertex's ``publisherModels``, or a gateway's list."""
        listed = members(value).get("models", members(value).get("publisherModels"))
        if not isinstance(listed, list):
            return super().models_in(value)
        return [name.rpartition("models/")[2] for row in listed if (name := text(members(row).get("name")))]


def _asked(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request itself: Google's Code Assist gets it as the member ``request``."""
    inner = value.get("request")
    return inner if isinstance(inner, dict) and "contents" not in value else value


def _either(value: Mapping[str, Any], camel: str, snake: str) -> object:
    return value.get(camel, value.get(snake))


def _contents(messages: Sequence[PromptMessage], model: str) -> list[dict[str, Any]]:
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    signed = {"thoughtSignature": UNSIGNED} if _CHECKS_SIGNATURES.search(model) else {}
    return [_turn(turn, names, signed) for turn in turns_of(messages)]


def _turn(turn: Turn, names: Mapping[str, str], signed: Mapping[str, str]) -> dict[str, Any]:
    role = "model" if turn.role == "assistant" else "user"
    return {"role": role, "parts": [part for message in turn.messages for part in _parts(message, names, signed)]}


def _parts(message: PromptMessage, names: Mapping[str, str], signed: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Calls and results belong together by their order and name: Vertex knows no ids of calls."""
    if message.tool_call_id is not None:
        name = names.get(message.tool_call_id, message.tool_call_id)
        yield {"functionResponse": {"name": name, "response": {"result": message.content}}}
        return
    if message.content:
        yield {"text": message.content}
    for call in message.tool_calls:
        yield {"functionCall": {"name": call.name, "args": call.arguments}, **signed}


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "parameters": tool.parameters}


def _tool_choice(choice: str) -> dict[str, Any]:
    if choice in ("auto", "none"):
        return {"mode": choice.upper()}
    return {"mode": "ANY"} if choice in ("required", "any") else {"mode": "ANY", "allowedFunctionNames": [choice]}
