"""Mock servers, Postman and Burp Suite: the stream of each, whatever the notation of its body."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.recorded_stream import HEAD, QUESTION, SSE, decoded, is_the_stream, recorded

PACKED = base64.b64encode(SSE.encode()).decode()
HEADERS = {"Content-Type": "text/event-stream"}
ASKED = f"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: {len(QUESTION)}\r\n\r\n{QUESTION}"


def stub(**answer: object) -> dict[str, Any]:
    asked = {"deepEquals": {"method": "POST", "path": "/v1/chat/completions", "body": QUESTION}}
    return {"predicates": [asked], "responses": [{"is": {"headers": HEADERS, **answer}}]}


def expectation(body: object) -> dict[str, Any]:
    asked = {"method": "POST", "path": "/v1/chat/completions", "body": {"type": "JSON", "json": json.loads(QUESTION)}}
    return {"httpRequest": asked, "httpResponse": {"statusCode": 200, "headers": HEADERS, "body": body}}


def burp(answer: bytes, encoded: str) -> str:
    def item(said: bytes) -> str:
        return base64.b64encode(said).decode() if encoded == "true" else said.decode()

    request, response = (f"<![CDATA[{item(said)}]]>" for said in (ASKED.encode(), answer))
    tags = f'<request base64="{encoded}">{request}</request><status>200</status>'
    answered = f'<response base64="{encoded}">{response}</response>'
    return f'<?xml version="1.0"?>\n<items burpVersion="1">\n<item>{tags}{answered}</item></items>'


SAVED = {"name": "ok", "code": 200, "header": [{"key": "Content-Type", "value": "text/event-stream"}], "body": SSE}
ORIGINAL = {
    "method": "POST",
    "url": {"protocol": "https", "host": ["h", "example"], "path": ["v1", "chat", "completions"]},
    "body": {"mode": "raw", "raw": QUESTION},
}
FILES = {
    "imposters": json.dumps({"imposters": [{"port": 1, "stubs": [stub(statusCode=200, body=SSE)]}]}),
    "imposter, binary": json.dumps({"stubs": [stub(statusCode="200", body=PACKED, _mode="binary")]}),
    "expectation": json.dumps([expectation(SSE)]),
    "expectation, typed": json.dumps(expectation({"type": "STRING", "string": SSE})),
    "expectation, base64": json.dumps(expectation({"type": "BINARY", "base64Bytes": PACKED})),
    "postman": json.dumps({"info": {}, "item": [{"item": [{"request": ORIGINAL, "response": [SAVED]}]}]}),
    "newman": json.dumps(
        {
            "run": {
                "executions": [
                    {
                        "request": ORIGINAL,
                        "response": {**SAVED, "stream": {"type": "Buffer", "data": list(SSE.encode())}},
                    }
                ]
            }
        }
    ),
    "burp": burp((HEAD + SSE).encode(), "true"),
    "burp, plain": burp((HEAD + SSE).encode(), "false"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_stream_of_each(tmp_path: Path, name: str) -> None:
    (only,) = recorded(tmp_path, FILES[name])
    is_the_stream(only)
    request = only.request
    assert (request.method, request.model, request.wants_stream) == ("POST", "m", True)
    assert request.url.endswith("/v1/chat/completions")


def test_an_error_that_was_saved(tmp_path: Path) -> None:
    refused = {**SAVED, "code": 429, "header": [], "body": '{"error": {"message": "slow down", "code": "rate"}}'}
    (only,) = recorded(tmp_path, json.dumps({"item": [{"request": ORIGINAL, "response": [refused]}]}))
    got = decoded(only)
    assert got.error is not None
    assert (got.status, got.error.message) == (429, "slow down")
