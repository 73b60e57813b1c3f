"""Flow files of mitmproxy: exchanges, their times, WebSockets, and files that are cut."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from kmon.errors import UsageError
from kmon.recording.formats.tnetstrings import DEPTH_LIMIT, values
from tests.support.recorded_stream import CHUNKS, QUESTION, SSE, TEXT, decoded, is_asked, is_the_stream, recorded


def tnet(value: object) -> bytes:
    """``value`` as a tnetstring."""
    if isinstance(value, dict):
        content, kind = b"".join(tnet(key) + tnet(one) for key, one in value.items()), b"}"
    elif isinstance(value, list | tuple):
        content, kind = b"".join(map(tnet, value)), b"]"
    elif value is None or isinstance(value, bool):
        content, kind = (b"", b"~") if value is None else (str(value).lower().encode(), b"!")
    elif isinstance(value, int | float):
        content, kind = str(value).encode(), b"#" if isinstance(value, int) else b"^"
    else:
        content, kind = (value, b",") if isinstance(value, bytes) else (str(value).encode(), b";")
    return b"%d:%b%b" % (len(content), content, kind)


def flow(
    content: bytes | None = SSE.encode(), headers: tuple[tuple[bytes, bytes], ...] = (), **members: object
) -> bytes:
    request = {
        "http_version": b"HTTP/1.1",
        "headers": [[b"Authorization", b"Bearer sk-secret"], [b"Host", b"api.example.com"]],
        "content": QUESTION.encode(),
        "timestamp_start": 1.0,
        "method": b"POST",
        "scheme": b"https",
        "authority": b"",
        "path": b"/v1/chat/completions",
    }
    response = {
        "headers": [[b"Content-Type", b"text/event-stream"], *headers],
        "content": content,
        "timestamp_start": 1.5,
        "timestamp_end": 3.5,
        "status_code": 200,
    }
    return tnet({"version": 21, "type": "http", "request": request, "response": response, "error": None, **members})


def test_exchanges_with_their_times(tmp_path: Path) -> None:
    packed = flow(gzip.compress(SSE.encode()), ((b"Content-Encoding", b"gzip"),))
    for index, one in enumerate(recorded(tmp_path, flow() + packed)):
        is_the_stream(one)
        is_asked(one)
        assert (one.index, one.duration_ms) == (index, 2500)
        assert "authorization" not in one.request.headers


def test_a_file_of_an_old_version_has_bytes_for_keys(tmp_path: Path) -> None:
    old = flow().replace(b"7:version;", b"7:version,").replace(b"8:response;", b"8:response,")
    is_the_stream(recorded(tmp_path, old)[0])


def test_a_body_that_was_passed_on_is_said(tmp_path: Path) -> None:
    (only,) = recorded(tmp_path, flow(None))
    assert only.problem is not None
    assert "store_streamed_bodies=true" in only.problem


def test_messages_of_a_websocket(tmp_path: Path) -> None:
    sent = [1, True, b'{"model":"m"}', 10.0, False]
    messages = [sent, *([1, False, json.dumps(chunk).encode(), 10.0 + n, False] for n, chunk in enumerate(CHUNKS))]
    (only,) = recorded(tmp_path, flow(b"", websocket={"messages": messages, "close_code": 1000}))
    assert (decoded(only).text, only.arrivals_ms) == (TEXT, (0, 1000, 2000, 3000))


def test_a_file_that_is_cut_gives_the_flows_before(tmp_path: Path) -> None:
    assert len(recorded(tmp_path, flow() + flow()[:-9])) == 1
    with pytest.raises(UsageError, match="damaged or cut in its first flow"):
        recorded(tmp_path, flow()[:-9])


def test_bottomless_nesting_ends(tmp_path: Path) -> None:
    nested: object = 1
    for _ in range(DEPTH_LIMIT + 2):
        nested = [nested]
    assert values(tnet(nested)) == ([], False)
    assert values(tnet([nested[0]]) if isinstance(nested, list) else b"")[1] is False
