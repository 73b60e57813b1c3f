"""No bytes make a reader raise anything but a refusal in one sentence, and what it returns can be decoded."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmon.errors import UsageError
from kmon.findings.recorded import decode
from kmon.recording.decode import decodable
from kmon.recording.formats import FORMATS, Format
from kmon.recording.formats.printed_objects import printed_objects
from kmon.recording.formats.stamps import stamp_of
from kmon.recording.formats.tnetstrings import values as tnetstrings
from kmon.recording.http_dialogue import dechunked, messages
from kmon.recording.load import interactions
from kmon.recording.several import streams
from kmon.recording.source import Source, unpacked
from tests.recording.formats.test_formats_events import BOTO3, PRINTED, lines, session
from tests.recording.formats.test_formats_har import entry, har, received, socket
from tests.recording.formats.test_formats_mitmproxy import flow, tnet
from tests.recording.formats.test_formats_mock_servers import FILES as MOCKED
from tests.recording.formats.test_formats_recorders import RECORDERS
from tests.recording.formats.test_formats_text import FOLLOWED, HEAD, LEFT, RAW_CHUNKS, VERBOSE, dump, stamped
from tests.support.recorded_stream import CHUNKS, MESSAGES, SSE

SAMPLES = [
    *(
        content.encode() if isinstance(content, str) else content
        for content in (*RECORDERS.values(), *FOLLOWED.values(), *MOCKED.values())
    ),
    SSE.encode(),
    (HEAD + SSE).encode(),
    (VERBOSE + SSE + LEFT).encode(),
    RAW_CHUNKS,
    stamped(["03:04:05.1"] * 10, SSE.split("\n")[:-1]).encode(),
    f"03:04:05.000000 <= Recv data, 9 bytes (0x9)\n{dump((HEAD + SSE).encode())}".encode(),
    b"httprr trace v1\n5 9\nhelloHTTP/1.1 ",
    har(entry({"text": SSE}), socket(*(received(chunk, 1) for chunk in CHUNKS))).encode(),
    flow() + flow(b"", websocket={"messages": [[1, False, b"{}", 1.0]]}),
    lines(BOTO3).encode(),
    lines([{"event": "x", "data": event, "t": 1} for event in MESSAGES]).encode(),
    lines([session(type="stream_event", event=event) for event in MESSAGES]).encode(),
    lines([session(type="assistant", message={"id": "m", "content": [{"type": "text", "text": "x"}]})]).encode(),
    PRINTED.encode(),
    f"It stops:\n> {SSE}".encode(),
]
KEYS = sorted(
    {
        "log", "entries", "request", "response", "content", "text", "encoding", "_webSocketMessages", "data", "type",
        "time",
        "opcode", "headers", "body", "string", "base64_string", "status", "code", "interactions", "http_interactions",
        "scope", "path", "rawHeaders", "snapshot", "responses", "statusCode", "Entries", "RequestUri", "ResponseBody",
        "mappings", "base64Body", "bodyFileName", "pairs", "chunks", "b64", "times", "host", "protocolVersion", "event",
        "choices", "delta", "message", "stream", "session_id", "id", "binary", "name", "value", "url", "Path",
        "Matchers",
        "StatusCode", "postData", "size", "timestamp", "start", "end", "header", "error", "then", "when", "packets",
    }
)  # fmt: skip
TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from([SSE, "e30=", "chunked"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file of some format with a few bytes removed, doubled, or replaced."""
    data = draw(st.sampled_from(SAMPLES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        data = data[:start] + draw(st.sampled_from([b"", data[start:end] * 2]) | st.binary(max_size=6)) + data[end:]
    return data


TRIED = settings().max_examples
FILES = st.one_of(
    damaged(),
    st.binary(max_size=200),
    TREES.map(lambda tree: json.dumps(tree).encode()),
    st.lists(st.dictionaries(st.sampled_from(KEYS), TREES, max_size=5), max_size=4).map(
        lambda rows: "\n".join(map(json.dumps, rows)).encode()
    ),
)


@settings(max_examples=4 * TRIED)
@given(FILES)
def test_a_file_is_read_or_refused_in_a_sentence(data: bytes) -> None:
    try:
        found = interactions(Path("f"), Source(data, "f"))
    except UsageError as refused:
        assert str(refused).startswith("f ")
        assert "\n" not in str(refused)
        return
    assert [one.index for one in found] == list(range(len(found)))
    for one in found:
        if decodable(one):
            decode("f", one)


@pytest.mark.slow
@pytest.mark.parametrize("one", FORMATS, ids=lambda one: one.name)
@given(data=FILES)
def test_every_reader_alone_raises_nothing_else(one: Format, data: bytes) -> None:
    source = Source(data, "f")
    if one.looks_like(source):
        try:
            one.read(source)
        except (ValueError, RecursionError):
            return


PARTS: list[Callable[[bytes], object]] = [
    unpacked,
    stamp_of,
    tnetstrings,
    dechunked,
    messages,
    streams,
    lambda data: printed_objects(data.decode("utf-8", "replace")),
    lambda data: Source(data).objects,
]


@settings(max_examples=3 * TRIED)
@given(st.sampled_from(PARTS), st.one_of(damaged(), st.binary(max_size=100)))
def test_the_parts_of_readers_take_any_bytes(part: Callable[[bytes], object], data: bytes) -> None:
    try:
        part(data)
    except ValueError:
        assert part is unpacked


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.binary(max_size=9), st.lists, max_leaves=20))
def test_a_tnetstring_is_read_as_it_was_written(value: object) -> None:
    assert tnetstrings(tnet(value)) == ([value], True)


@given(st.binary(min_size=1, max_size=300), st.lists(st.integers(1, 300), max_size=6))
def test_chunks_are_joined_in_any_split(body: bytes, cuts: list[int]) -> None:
    places = sorted({0, *(cut for cut in cuts if cut < len(body)), len(body)})
    parts = [body[start:end] for start, end in pairwise(places)]
    wire = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    found = dechunked(wire)
    assert found is not None
    assert (found[0], found[2]) == (body, len(wire))
    assert [end for end, _ in found[1]] == places[1:]
