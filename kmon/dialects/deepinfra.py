"""DeepInfra's native inference stream to deltas: one token per event, in the shape of TGI.

The end is the event with ``details.finish_reason`` (or the whole ``generated_text``, which is not read again);
``[DONE]`` is not promised. Errors come inside a 200 stream.
"""

from __future__ import annotations

from typing import Any

from kmon.dialects.delta import Delta, Usage
from kmon.dialects.fault import fault
from kmon.dialects.loose import count, members, text
from kmon.dialects.sse_json import JSONEventsDecoder


class DeepInfraDecoder(JSONEventsDecoder):
    """Bytes of a native inference body to deltas; implements :class:`kmon.dialects.wire.Decoder`."""

    def __init__(self) -> None:
        super().__init__(token_delta)


def token_delta(event: dict[str, Any], raw: str = "", name: str = "") -> Delta:
    """The meaning of one event. A special token (end of turn) is a chunk whose text is not the answer's."""
    if error := event.get("error_message") or event.get("error") or (event if name == "error" else None):
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
