"""The native inference request of a scenario: the conversation written out in the model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from kmon.catalog.errors import UsageError
from kmon.catalog.model import Message, PromptTemplate, Scenario, Target
from kmon.dialects.refuse import refusal
from kmon.dialects.wire import WireRequest

HEADERS = {
    "Accept": "text/event-stream",
    "Accept-Encoding": "identity",  # compressed streams are buffered and hide the gaps
    "Content-Type": "application/json",
}


def deepinfra_request(target: Target, scenario: Scenario, messages: Sequence[Message]) -> WireRequest:
    """The request that sends ``messages`` to ``target``, as a prompt that follows ``target.template``.

    ``target.body`` is merged last and wins. Raises :class:`UsageError` for a scenario with tools: the dialect has none.
    """
    if problem := refusal(target, scenario):
        raise UsageError(problem)
    body: dict[str, Any] = {
        "input": _prompt(target.template, messages),
        "stream": True,
        "max_new_tokens": scenario.max_tokens,
    }
    if target.template.stop:
        body["stop"] = target.template.stop
    body |= target.body
    root = "" if target.base_url.endswith("/v1") else "/v1"
    path = f"{root}/inference/{quote(target.model, safe='/:')}"
    return WireRequest(path, HEADERS | target.headers, msgspec.json.encode(body))


def _prompt(template: PromptTemplate, messages: Sequence[Message]) -> str:
    shapes = {"system": template.system, "user": template.user, "assistant": template.assistant}
    said = "".join(shapes[message.role].replace("{content}", message.content) for message in messages)
    return said + template.opening
