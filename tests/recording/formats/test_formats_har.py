"""HAR files: bodies in every notation, bodies that are missing, messages of WebSockets, and times."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kmon.cli import main
from tests.support.recorded_stream import CHUNKS, EVENTS, QUESTION, SSE, TEXT, URL, decoded, is_asked, is_the_stream
from tests.support.recorded_stream import recorded as loaded

PACKED = base64.b64encode(SSE.encode()).decode()
HALVES = (SSE.encode()[:50], SSE.encode()[50:])


def entry(content: dict[str, Any], **members: object) -> dict[str, Any]:
    request = {
        "method": "POST",
        "url": URL,
        "headers": [{"name": "Authorization", "value": "Bearer sk-secret"}],
        "postData": {"mimeType": "application/json", "text": QUESTION},
    }
    headers = [{"name": "Content-Type", "value": "text/event-stream"}]
    response = {"status": 200, "headers": headers, "content": {"mimeType": "text/event-stream", **content}}
    return {
        "startedDateTime": "2026-01-02T03:04:05Z",
        "time": 812.5,
        "request": request,
        "response": response,
        **members,
    }


def har(*entries: dict[str, Any]) -> str:
    return json.dumps({"log": {"version": "1.2", "creator": {"name": "t"}, "entries": entries}})


@pytest.mark.parametrize(
    "content",
    [
        {"text": SSE, "size": 9},
        {"text": PACKED, "encoding": "base64"},
        {"text": json.dumps([base64.b64encode(half).decode() for half in HALVES]), "encoding": "base64"},
        {"text": json.dumps([gzip.compress(SSE.encode()).hex()]), "_isBinary": True},
    ],
    ids=["text", "base64", "polly", "polly-hexadecimal"],
)
def test_a_body_in_every_notation(tmp_path: Path, content: dict[str, Any]) -> None:
    (only,) = loaded(tmp_path, har(entry(content)))
    is_the_stream(only)
    is_asked(only)
    assert only.duration_ms == 812.5
    assert "authorization" not in only.request.headers


@pytest.mark.parametrize("copied", [lambda one: one, lambda one: [one], lambda one: {"entries": [one]}])
def test_an_entry_that_a_person_copied_out(tmp_path: Path, copied: Callable[[object], object]) -> None:
    (only,) = loaded(tmp_path, json.dumps(copied(entry({"text": SSE}))))
    is_the_stream(only)
    is_asked(only)


def test_other_exchanges_of_a_page_are_no_streams(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = entry({"text": "<html></html>"})
    page["request"] |= {"method": "GET", "postData": {}}
    page["response"]["headers"] = [{"name": "content-type", "value": "text/html"}]
    _, stream = loaded(tmp_path, har(page, entry({"text": SSE})))
    is_the_stream(stream)
    path = tmp_path / "page.har"
    path.write_text(har(page))
    assert main(["decode", str(path)]) == 0
    assert "none of them is a stream" in capsys.readouterr().err


@pytest.mark.parametrize("content", [{}, {"size": 0}, {"text": "", "size": 621}])
def test_a_body_that_was_not_saved_is_said_and_is_no_fault_of_the_stream(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: dict[str, Any]
) -> None:
    path = tmp_path / "a.har"
    path.write_text(har(entry(content), entry({"text": SSE})))
    assert main(["decode", "--json", str(path)]) == 2
    out, err = capsys.readouterr()
    assert [json.loads(line)["interaction"] for line in out.splitlines()] == [1]
    assert "interaction 0 is skipped: the HAR was saved without this answer's body" in err


def test_an_empty_answer_is_no_missing_one(tmp_path: Path) -> None:
    (only,) = loaded(tmp_path, har(entry({"text": "", "size": 0})))
    assert decoded(only).signature == "truncated-no-finish"


def socket(*messages: dict[str, Any]) -> dict[str, Any]:
    return entry({"size": 0}, _webSocketMessages=list(messages), _resourceType="websocket")


def received(value: object, at_s: float, kind: str = "receive") -> dict[str, Any]:
    return {"type": kind, "time": 1700000000 + at_s, "opcode": 1, "data": json.dumps(value)}


def test_messages_of_a_websocket_that_are_chunks_are_a_stream_with_times(tmp_path: Path) -> None:
    asked = received({"model": "m"}, 0, "send")
    (only,) = loaded(tmp_path, har(socket(asked, *(received(chunk, 6 * n) for n, chunk in enumerate(CHUNKS)))))
    got = decoded(only)
    assert (got.text, got.finish_reason, got.signature) == (TEXT, "stop", "stall-resumed")
    assert only.arrivals_ms == (0, 6000, 12000, 18000)


def test_a_websocket_that_speaks_no_dialect_is_said(tmp_path: Path) -> None:
    (only,) = loaded(tmp_path, har(socket(received({"op": "tick"}, 0))))
    assert only.problem == "it is a WebSocket with 1 messages, in no dialect that kmon decodes"


def test_frames_of_a_gateway_are_decoded_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [
        ({"type": "req", "id": "1", "method": "chat.send", "params": {"sessionKey": "s", "message": "hi",
          "idempotencyKey": "r"}}, "send"),
        ({"type": "res", "id": "1", "ok": True, "payload": {"runId": "r", "status": "started"}}, "receive"),
        ({"type": "event", "event": "chat", "payload": {"runId": "r", "sessionKey": "s", "seq": 1, "state": "final",
          "message": {"role": "assistant", "content": [{"type": "text", "text": "22"}]}}}, "receive"),
    ]  # fmt: skip
    path = tmp_path / "gateway.har"
    path.write_text(har(socket(*(received(frame, n, kind) for n, (frame, kind) in enumerate(frames)))))
    assert main(["decode", "--json", str(path)]) == 0
    (got,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (got["dialect"], got["run"], got["text"]) == ("openclaw", "r", "22")


def test_events_of_an_event_source_have_times(tmp_path: Path) -> None:
    messages = [
        {"time": 100 + n, "eventName": "message", "eventId": "", "data": event[6:].strip()}
        for n, event in enumerate(EVENTS)
    ]
    (only,) = loaded(tmp_path, har(entry({"size": 0}, _eventSourceMessages=messages)))
    is_the_stream(only)
    assert only.arrivals_ms == (0, 1000, 2000, 3000, 4000)
