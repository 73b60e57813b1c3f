"""Anthropic Messages events (Kimi's second face, too) to deltas.

Every event says its ``type`` in its JSON and again as the SSE event name; the JSON counts. The end is
``message_stop``, there is no ``[DONE]``. Input tokens come first and output tokens last, as a running count.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kmon.dialects.delta import Delta, StreamError, ToolFragment, Usage
from kmon.dialects.fault import fault
from kmon.dialects.loose import compact, count, members, position, text
from kmon.dialects.sse_json import JSONEventsDecoder

STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
}
"""The HTTP status each error type stands for when it comes before the stream."""


class MessagesDecoder(JSONEventsDecoder):
    """Bytes of a Messages body to deltas; implements :class:`kmon.dialects.wire.Decoder`."""

    def __init__(self) -> None:
        super().__init__(self._interpreted)
        self._usage: Usage | None = None

    def _interpreted(self, event: dict[str, Any], raw: str, name: str) -> Delta:
        delta = message_delta(event if "type" in event else {**event, "type": name})
        if delta.usage is not None:
            self._usage = delta.usage if self._usage is None else _later(self._usage, delta.usage)
            delta = msgspec.structs.replace(delta, usage=self._usage)
        error = delta.error and msgspec.structs.replace(delta.error, frame=raw)
        return msgspec.structs.replace(delta, error=error, raw=raw)


def message_delta(event: dict[str, Any]) -> Delta:
    """The meaning of one event, told by its ``type``. A ``ping`` is life, never progress."""
    kind = event.get("type")
    index = position(event.get("index"), 0)
    if kind == "content_block_delta":
        return _piece(index, members(event.get("delta")))
    if kind == "content_block_start":
        return _block(index, members(event.get("content_block")))
    if kind == "message_start":
        message = members(event.get("message"))
        return Delta(
            usage=_usage(message.get("usage")),
            response_id=text(message.get("id")) or None,
            model=text(message.get("model")) or None,
        )
    if kind == "message_delta":
        reason = text(members(event.get("delta")).get("stop_reason")) or None
        return Delta(finish_reason=reason, usage=_usage(event.get("usage")))
    if kind == "error":
        return Delta(error=_error(event.get("error") or event))
    return Delta(done=kind == "message_stop", keepalive=kind == "ping")


def _piece(index: int, delta: dict[str, Any]) -> Delta:
    partial = text(delta.get("partial_json"))
    return Delta(
        text=text(delta.get("text")),
        reasoning=text(delta.get("thinking")),
        tools=(ToolFragment(index, arguments=partial),) if delta.get("type") == "input_json_delta" else (),
    )


def _block(index: int, block: dict[str, Any]) -> Delta:
    if block.get("type") not in ("tool_use", "server_tool_use"):
        return Delta(text=text(block.get("text")), reasoning=text(block.get("thinking")))
    given = block.get("input")
    arguments = compact(given) if isinstance(given, dict) and given else ""
    return Delta(tools=(ToolFragment(index, text(block.get("id")), text(block.get("name")), arguments),))


def _error(cause: object) -> StreamError:
    error = fault(cause)
    return msgspec.structs.replace(error, status=error.status or STATUS.get(error.code or ""))


def _later(before: Usage, now: Usage) -> Usage:
    """Counts that ``now`` does not repeat stay as they were."""
    return Usage(
        before.prompt_tokens if now.prompt_tokens is None else now.prompt_tokens,
        before.completion_tokens if now.completion_tokens is None else now.completion_tokens,
        None,
        cached_tokens=before.cached_tokens if now.cached_tokens is None else now.cached_tokens,
    )


def _usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    return Usage(
        count(value.get("input_tokens")),
        count(value.get("output_tokens")),
        None,
        cached_tokens=count(value.get("cache_read_input_tokens")),
    )
