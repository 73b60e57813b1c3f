"""Decodes Bedrock InvokeModelWithResponseStream: ``chunk`` frames with the JSON of each model family.

For recordings and proxied requests only; kmon never sends such a request.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from kmon.dialects.chat import chunk_delta
from kmon.dialects.converse import converse_delta, model_in
from kmon.dialects.delta import Delta, Usage, whole_prompt
from kmon.dialects.dialect import FinishWords, Route, WireFormat
from kmon.dialects.eventstream_json import JSONFramesDecoder
from kmon.dialects.fault import malformed
from kmon.dialects.framing import AWS_EVENT_STREAM
from kmon.dialects.json_access import count, items, members, parsed, text
from kmon.dialects.messages_events import WITHOUT_OUTPUT, MessagesEvents, whole_message

METRICS = "amazon-bedrock-invocationMetrics"
"""Member of the last chunk of every family: Bedrock's own token counts."""
NOVA_EVENTS = ("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata")


class BedrockInvoke(WireFormat):
    """InvokeModelWithResponseStream."""

    name = "bedrock-invoke"
    framings = (AWS_EVENT_STREAM,)
    finish_words = FinishWords(
        length=frozenset({"length", "max_tokens", "model_context_window_exceeded", "LENGTH", "MAX_TOKENS"}),
        without_output=WITHOUT_OUTPUT,
    )
    """Those of all families: Titan's and Cohere's are in capitals."""

    def route(self, path: str) -> Route | None:
        model, operation = model_in(path) or ("", "")
        return Route(model, True) if operation == "invoke-with-response-stream" else None

    def recognises(self, event: str, value: Mapping[str, Any]) -> bool:
        return event == "chunk"

    def decoder(self) -> JSONFramesDecoder:
        return InvokeDecoder()

    def whole(self, value: dict[str, Any]) -> Delta:
        return _payload_delta(value, MessagesEvents())


class InvokeDecoder(JSONFramesDecoder):
    """Frames to deltas. Bedrock's own counts are used where the model's events have none."""

    def __init__(self) -> None:
        super().__init__(self._interpreted)
        self._messages = MessagesEvents()
        self._counted = False

    def _interpreted(self, name: str, event: dict[str, Any]) -> Delta:
        if name != "chunk":
            return Delta()
        try:
            value = parsed(base64.b64decode(text(event.get("bytes")), validate=True))
        except (ValueError, binascii.Error):
            return Delta(error=malformed("a chunk that is no base64 of JSON", text(event.get("bytes"))))
        if not isinstance(value, dict):
            return Delta(error=malformed("a chunk that is no JSON object", text(event.get("bytes"))))
        delta = _payload_delta(value, self._messages)
        usage = delta.usage
        self._counted = self._counted or (
            usage is not None and None not in (usage.prompt_tokens, usage.completion_tokens)
        )
        metrics = value.get(METRICS)
        if not isinstance(metrics, dict):
            return delta
        return msgspec.structs.replace(delta, usage=usage if self._counted else _metered(metrics), done=True)


def _metered(metrics: dict[str, Any]) -> Usage:
    read, written = count(metrics.get("cacheReadInputTokenCount")), count(metrics.get("cacheWriteInputTokenCount"))
    prompt = whole_prompt(count(metrics.get("inputTokenCount")), read, written)
    output = count(metrics.get("outputTokenCount"))
    return Usage(prompt, output, None, cached_tokens=read, cache_write_tokens=written)


def _payload_delta(value: dict[str, Any], messages: MessagesEvents) -> Delta:
    """Recognise the family by its members: Claude, Nova, OpenAI, DeepSeek, Cohere, Titan, Llama, Mistral."""
    if value.get("type") == "message":
        return whole_message(value)
    if isinstance(value.get("type"), str):
        return messages.delta(value)
    for name in NOVA_EVENTS:
        if isinstance(value.get(name), dict):
            return converse_delta(name, value[name])
    if "choices" in value:
        return _choices(value)
    if "event_type" in value or "is_finished" in value:
        return _cohere(value)
    if "generations" in value or "outputs" in value:
        return _listed(items(value.get("generations")) or items(value.get("outputs")))
    content = text(value.get("completion")) or text(value.get("generation")) or text(value.get("outputText"))
    reason = text(value.get("stop_reason")) or text(value.get("completionReason"))
    return Delta(text=content, finish_reason=reason or None)


def _choices(value: dict[str, Any]) -> Delta:
    """OpenAI's chunks, or the same with ``message`` and ``stop_reason`` (Mistral) or ``text`` (DeepSeek)."""
    first = members(next(iter(items(value.get("choices"))), None))
    if "delta" in first:
        return chunk_delta(value)
    content = text(members(first.get("message")).get("content")) or text(first.get("text"))
    reason = text(first.get("stop_reason")) or text(first.get("finish_reason"))
    return Delta(text=content, finish_reason=reason or None)


def _cohere(value: dict[str, Any]) -> Delta:
    """The last event repeats the whole answer under ``response``, which is ignored."""
    return Delta(text=text(value.get("text")), finish_reason=text(value.get("finish_reason")) or None)


def _listed(parts: list[Any]) -> Delta:
    first = members(next(iter(parts), None))
    reason = text(first.get("finish_reason")) or text(first.get("stop_reason"))
    return Delta(text=text(first.get("text")), finish_reason=reason or None)
