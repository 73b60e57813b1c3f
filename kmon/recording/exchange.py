"""What all formats share: bodies to bytes, codings undone, and an interaction with its dialect and its times."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping

from msgspec import structs

from kmon.dialects.json_access import text
from kmon.recording.arrivals import Marks, arrivals_ms
from kmon.recording.compression import layers
from kmon.recording.interaction import Interaction, Request
from kmon.recording.packed_arrivals import unpacked_marks
from kmon.recording.sniff import dialect_of, is_stream

UNKNOWN_REQUEST = Request(body=b'{"stream":true}')
"""For an answer that was recorded alone: who saves one asked for a stream."""


def interaction(
    index: int,
    request: Request,
    status: int | None,
    headers: dict[str, str],
    body: bytes,
    duration_ms: float | None = None,
    marks: Marks = (),
) -> Interaction:
    """An interaction without content codings, with its dialect, its streaming flag and the times of its events.

    ``marks`` are those of ``body`` as it is given.
    """
    problem: str | None = None
    plain = body
    try:
        undone = layers(body, headers.get("content-encoding", ""))
        plain, marks = undone[-1].plain, unpacked_marks(undone, marks)
    except ValueError as why:
        problem = f"its body cannot be read: {why}"
    found = Interaction(
        index,
        request,
        status,
        headers,
        plain,
        dialect_of(request.url, plain),
        request.wants_stream or problem is not None,
        duration_ms,
        arrivals_ms(plain, marks),
        problem,
    )
    return structs.replace(found, streaming=found.streaming or is_stream(found.content_type, plain))


def without_body(index: int, request: Request, status: int | None, headers: dict[str, str], why: str) -> Interaction:
    """An exchange of which the file does not have the body; ``why`` is a sentence that says what to do."""
    streamed = request.wants_stream or is_stream(headers.get("content-type", "").partition(";")[0].strip(), b"")
    return Interaction(index, request, status, headers, b"", dialect_of(request.url, b""), streamed, problem=why)


def body_bytes(body: object) -> bytes:
    """A body as recorders write it: bytes, text, or the JSON value that it was."""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "replace")
    return b"" if body is None else json_bytes(body)


def json_bytes(value: object) -> bytes:
    """``value`` as JSON."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace")
    except (RecursionError, TypeError, ValueError):
        raise ValueError("a body that is JSON is nested too deeply") from None


def unbase64(encoded: object) -> bytes:
    """The bytes of base64, in either alphabet. Raises ``ValueError``."""
    try:
        return base64.b64decode(
            encoded if isinstance(encoded, bytes) else text(encoded).encode(), b"-_" if _url(encoded) else None
        )
    except (binascii.Error, ValueError):
        raise ValueError("a body is not valid base64") from None


def _url(encoded: object) -> bool:
    return isinstance(encoded, str) and ("-" in encoded or "_" in encoded)


def leading_status(value: object) -> int | None:
    """The status at the start of ``200 OK``; None if there is none."""
    digits = str(value).strip()[:3]
    return int(digits) if len(digits) == 3 and digits.isascii() and digits.isdigit() else None


def insensitive(value: Mapping[str, object]) -> dict[str, object]:
    """``value`` by lower-case names."""
    return {str(name).lower(): content for name, content in value.items()}
