"""One small answer in several shapes, for tests of recordings; and what ``load`` and ``decode`` make of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kmon.findings.recorded import decode
from kmon.recording import Interaction, load
from kmon.recording.decode import Decoded, decodable

URL = "https://api.example.com/v1/chat/completions"
QUESTION = '{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}'
CHUNKS: list[dict[str, Any]] = [
    {"id": "c1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
    {"id": "c1", "choices": [{"index": 0, "delta": {"content": "two "}, "finish_reason": None}]},
    {"id": "c1", "choices": [{"index": 0, "delta": {"content": "wörds"}, "finish_reason": None}]},
    {"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
]
TEXT = "two wörds"
EVENTS = [f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n" for chunk in CHUNKS] + ["data: [DONE]\n\n"]
SSE = "".join(EVENTS)
HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: r-1\r\n\r\n"
MESSAGES: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "m1", "type": "message", "model": "c", "usage": {"input_tokens": 3}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "two wörds"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]


def chunked(*parts: bytes) -> bytes:
    """A body in HTTP/1.1 chunks, one per part."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def recorded(folder: Path, content: str | bytes, name: str = "recording.txt") -> list[Interaction]:
    """The interactions in a file with this content."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(path)


def decoded(interaction: Interaction) -> Decoded:
    """What ``kmon decode`` says of an interaction."""
    assert decodable(interaction), interaction
    return decode("f", interaction)


def is_the_stream(interaction: Interaction, status: int = 200) -> None:
    """Check that this is the whole chat answer of this module, asked with its question."""
    got = decoded(interaction)
    assert (got.text, got.finish_reason, got.done, got.error, got.signature) == (TEXT, "stop", True, None, None)
    assert (got.dialect, got.status) == ("chat", status)


def is_asked(interaction: Interaction) -> None:
    """Check that the request was read, too."""
    request = interaction.request
    assert (request.method, request.url, request.model, request.wants_stream) == ("POST", URL, "m", True)
