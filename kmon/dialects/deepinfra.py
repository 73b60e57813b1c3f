"""DeepInfra's native inference: the conversation as one prompt, one token per event, in the format of TGI.

The last event has ``details.finish_reason`` or the whole ``generated_text``, which is ignored. ``[DONE]`` may be
missing. Errors come inside a 200 stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from kmon.dialects.delta import Delta, Usage
from kmon.dialects.dialect import SSE_HEADERS, HttpDialect, Route, WireRequest, cannot_carry, carries_calls
from kmon.dialects.error_words import reported
from kmon.dialects.fault import fault
from kmon.dialects.framing import SERVER_SENT_EVENTS
from kmon.dialects.json_access import count, items, members, text
from kmon.dialects.sse_deltas import JSONEventsDecoder
from kmon.errors import UsageError
from kmon.model import PromptMessage, PromptTemplate, Scenario, Target

PATH = "/v1/inference/"


class DeepInfra(HttpDialect):
    """The prompt follows ``target.template``, the model's own chat template. There are no tools."""

    name = "deepinfra"
    framings = (SERVER_SENT_EVENTS,)

    def route(self, path: str) -> Route | None:
        _, _, model = path.partition(PATH)
        return Route(unquote(model)) if model and not path.endswith("/chat/completions") else None

    def recognises(self, event: str, value: Mapping[str, Any]) -> bool:
        return isinstance(value.get("token"), dict) and ("generated_text" in value or "details" in value)

    def request(self, target: Target, scenario: Scenario, messages: Sequence[PromptMessage]) -> WireRequest:
        if problem := self.unsupported(target, scenario):
            raise UsageError(problem)
        body: dict[str, Any] = {
            "input": _prompt(target.template, messages),
            "stream": True,
            "max_new_tokens": scenario.max_tokens,
        }
        if target.template.stop:
            body["stop"] = target.template.stop
        body |= target.body
        path = PATH.removeprefix("/v1") if target.base_url.endswith("/v1") else PATH
        path += quote(target.model, safe="/:")
        return WireRequest(path, SSE_HEADERS | target.headers, msgspec.json.encode(body))

    def decoder(self) -> JSONEventsDecoder:
        return JSONEventsDecoder(token_delta)

    def whole(self, value: dict[str, Any]) -> Delta:
        answer = text(members(next(iter(items(value.get("results"))), None)).get("generated_text"))
        return Delta(
            text=answer,
            finish_reason="stop" if answer else None,
            usage=_usage(value, {}),
            response_id=text(value.get("request_id")) or None,
        )

    def unsupported(self, target: Target, scenario: Scenario) -> str | None:
        if not scenario.tools and not carries_calls(scenario):
            return None
        return (
            f"{cannot_carry(target, scenario)} (it has no tools); aim at a target that speaks another dialect instead "
            f"of {target.name}, or ask a scenario without tools"
        )


def token_delta(event: dict[str, Any], raw: str = "", name: str = "") -> Delta:
    """The meaning of one event. The text of a special token (end of turn) is not part of the answer."""
    if error := event.get("error_message") or reported(event) or (event if name == "error" else None):
        code = text(event.get("error_type")) or None
        cause = {"message": error, "type": code} if isinstance(error, str) else error
        return Delta(error=fault(cause, frame=raw), raw=raw)
    token, details = members(event.get("token")), members(event.get("details"))
    reason = text(details.get("finish_reason")) or None
    return Delta(
        text="" if token.get("special") is True else text(token.get("text")),
        finish_reason=reason,
        usage=_usage(event, details),
        done=reason is not None or bool(text(event.get("generated_text"))),
        response_id=text(event.get("request_id")) or None,
        raw=raw,
    )


def _usage(event: dict[str, Any], details: dict[str, Any]) -> Usage | None:
    prompt = count(event.get("num_input_tokens"))
    completion = next(
        (
            number
            for value in (event.get("num_output_tokens"), event.get("num_tokens"), details.get("generated_tokens"))
            if (number := count(value)) is not None
        ),
        None,
    )
    return None if prompt is None and completion is None else Usage(prompt, completion, None)


def _prompt(template: PromptTemplate, messages: Sequence[PromptMessage]) -> str:
    shapes = {"system": template.system, "user": template.user, "assistant": template.assistant}
    prompt = "".join(shapes[message.role].replace("{content}", message.content) for message in messages)
    return prompt + template.opening
