"""What curl and Wireshark write, with and without times: the answer, its status, and when its events came."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest

from kmon.errors import UsageError
from tests.support.recorded_stream import (
    CHUNKS,
    EVENTS,
    HEAD,
    MESSAGES,
    QUESTION,
    SSE,
    TEXT,
    chunked,
    decoded,
    is_the_stream,
    recorded,
)

REQUEST = "POST /v1/chat/completions HTTP/1.1\r\nHost: api.example.com\r\n"
ASKED = f"{REQUEST}Content-Length: {len(QUESTION)}\r\n\r\n{QUESTION}"
CHUNKED_HEAD = HEAD.replace("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n")
RAW_CHUNKS = chunked(*(event.encode() for event in EVENTS))
VERBOSE = (
    "*   Trying 203.0.113.7:443...\n* Connected to api.example.com (203.0.113.7) port 443\n"
    "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n"
    "                                 Dload  Upload   Total   Spent    Left  Speed\n"
    "> POST /v1/chat/completions HTTP/2\n> Host: api.example.com\n> content-length: 71\n>\n"
    "} [71 bytes data]\n< HTTP/2 200 \n< content-type: text/event-stream\n< \n{ [183 bytes data]\n"
)
LEFT = "* Connection #0 to host api.example.com left intact\n"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(HEAD + SSE, id="curl-i"),
        pytest.param((HEAD + SSE).replace("\r\n", "\n"), id="curl-i, pasted"),
        pytest.param(HEAD.replace("\r\n\r\n", "\r\ncontent-length: 9\r\n\r\n") + SSE, id="a length that is not so"),
        pytest.param(CHUNKED_HEAD + SSE, id="announced as chunked, and not"),
        pytest.param(CHUNKED_HEAD.encode() + RAW_CHUNKS, id="curl-i --raw"),
        pytest.param("HTTP/1.1 100 Continue\r\n\r\n" + HEAD + SSE, id="after 100"),
        pytest.param("HTTP/1.1 200 Connection established\r\n\r\n" + HEAD + SSE, id="through a proxy"),
        pytest.param("HTTP/1.1 307 Temporary Redirect\r\nlocation: /x\r\n\r\n" + HEAD + SSE, id="after a redirection"),
        pytest.param(RAW_CHUNKS, id="curl --raw"),
        pytest.param(VERBOSE + SSE + LEFT, id="curl-v"),
        pytest.param(SSE, id="curl-N"),
    ],
)
def test_the_stream_in_what_curl_prints(tmp_path: Path, content: str | bytes) -> None:
    (only,) = recorded(tmp_path, content)
    is_the_stream(only)
    assert only.arrivals_ms == ()


def test_curl_v_tells_the_request_and_the_end_of_a_body_without_line_end(tmp_path: Path) -> None:
    refused = VERBOSE.replace("HTTP/2 200", "HTTP/2 429").replace("text/event-stream", "application/json")
    (only,) = recorded(tmp_path, refused + '{"error":{"message":"slow down"}}' + LEFT)
    assert (only.request.method, only.request.url) == ("POST", "http://api.example.com/v1/chat/completions")
    assert only.body.strip() == b'{"error":{"message":"slow down"}}'
    assert decoded(only).signature == "rate-limited"


def test_an_error_saved_with_curl_i_is_an_answer(tmp_path: Path) -> None:
    (only,) = recorded(tmp_path, 'HTTP/2 401 \r\ncontent-type: application/json\r\n\r\n{"error":{"message":"no key"}}')
    got = decoded(only)
    assert (got.status, got.error and got.error.message) == (401, "no key")


def test_several_answers_in_one_file(tmp_path: Path) -> None:
    first, second, third = recorded(tmp_path, HEAD + SSE + HEAD + SSE + "HTTP/1.1 503 Busy\r\n\r\nbusy")
    is_the_stream(first)
    is_the_stream(second)
    assert [one.index for one in (first, second, third)] == [0, 1, 2]
    assert decoded(third).status == 503


def test_curl_i_of_a_compressed_body(tmp_path: Path) -> None:
    head = HEAD.replace("\r\n\r\n", "\r\ncontent-encoding: gzip\r\n\r\n")
    is_the_stream(recorded(tmp_path, head.encode() + gzip.compress(SSE.encode()))[0])


def stamped(stamps: list[str], lines: list[str]) -> str:
    return "".join(f"{stamp} {line}".rstrip(" ") + "\n" for stamp, line in zip(stamps, lines, strict=True))


LINES = SSE.split("\n")[:-1]
CRLF = b"\r\n"
SECONDS = [5.0, 5.1, 5.2, 5.3, 11.9, 12.0, 12.1, 12.2, 12.3, 12.4]
"""The first event is complete with the second line, at 5.1 s."""


@pytest.mark.parametrize(
    "stamp",
    [
        pytest.param(lambda s: f"03:04:{s:06.3f}", id="ts %H:%M:%.S"),
        pytest.param(lambda s: f"Jan 02 03:04:{s:06.3f}", id="ts"),
        pytest.param(lambda s: f"2026-01-02T03:04:{s:06.3f}000000Z", id="docker logs -t"),
        pytest.param(lambda s: f"[2026-01-02 03:04:{s:06.3f}]", id="brackets"),
        pytest.param(lambda s: f"2026-01-02 03:04:{s:06.3f}:", id="colon"),
        pytest.param(lambda s: f"{1767000000 + s:.6f}", id="ts %.s"),
        pytest.param(lambda s: f"{1767000000000 + s * 1000:.0f}", id="milliseconds"),
        pytest.param(lambda s: f"{s:.3f}s", id="since the start"),
    ],
)
@pytest.mark.parametrize(
    "head", [(), ("HTTP/1.1 200 OK", "content-type: text/event-stream", "")], ids=["body", "curl-i"]
)
def test_every_event_has_the_time_of_the_line_that_ends_it(
    tmp_path: Path, stamp: object, head: tuple[str, ...]
) -> None:
    assert callable(stamp)
    stamps = [stamp(s) for s in [4.9] * len(head) + SECONDS]
    (only,) = recorded(tmp_path, stamped(stamps, [*head, *LINES]))
    assert only.body == SSE.encode()
    assert only.arrivals_ms == pytest.approx((0, 200, 6900, 7100, 7300), abs=0.6)
    got = decoded(only)
    assert (got.text, got.signature, got.max_gap_after_chunks) == (TEXT, "stall-resumed", 2)
    assert got.max_gap_ms == pytest.approx(6700, abs=1)
    assert got.max_gap_at_ms == pytest.approx(200, abs=1)


def test_increments_of_ts_i_are_added_up(tmp_path: Path) -> None:
    gaps = [0.0, 0.1, 0.0, 0.2, 0.0, 6.0, 0.0, 0.1, 0.0, 0.1]
    (only,) = recorded(tmp_path, stamped([f"00:00:{gap:09.6f}" for gap in gaps], LINES))
    assert only.arrivals_ms == pytest.approx((0, 200, 6200, 6300, 6400))


def test_midnight_between_two_lines_is_no_day_of_silence(tmp_path: Path) -> None:
    stamps = ["23:59:59.500"] * 4 + ["00:00:00.500"] * 6
    (only,) = recorded(tmp_path, stamped(stamps, LINES))
    assert only.arrivals_ms == pytest.approx((0, 0, 1000, 1000, 1000))
    assert decoded(only).signature is None


def test_lines_whose_blank_ones_grep_removed(tmp_path: Path) -> None:
    lines = [line for line in LINES if line]
    (only,) = recorded(tmp_path, stamped([f"03:04:0{n}" for n in range(len(lines))], lines))
    is_the_stream(only)
    assert only.arrivals_ms == (0, 1000, 2000, 3000, 4000)


def test_curl_v_with_times_on_its_own_lines(tmp_path: Path) -> None:
    head = "".join(
        f"03:04:05.000000 {line}\n" for line in VERBOSE.splitlines() if "%" not in line and "Dload" not in line
    )
    body = EVENTS[0] + "03:04:09.500000 { [50 bytes data]\n" + "".join(EVENTS[1:])
    (only,) = recorded(tmp_path, head + body + f"03:04:09.600000 {LEFT}")
    is_the_stream(only)
    assert only.arrivals_ms == (0, 4500, 4500, 4500, 4500)


def test_json_lines_with_a_time_before_each(tmp_path: Path) -> None:
    lines = [event[6:].strip() for event in EVENTS[:-1]]
    (only,) = recorded(tmp_path, stamped([f"03:04:{6 * n:02}" for n in range(len(lines))], lines))
    got = decoded(only)
    assert (got.text, got.finish_reason, got.signature) == (TEXT, "stop", "stall-resumed")


def test_a_log_with_times_that_holds_no_stream_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it is text, and no stream"):
        recorded(tmp_path, "03:04:05 started\n03:04:06 stopped\n")


def dump(data: bytes) -> str:
    rows = [(at, data[at : at + 16]) for at in range(0, len(data), 16)]
    return "".join(f"{at:04x}: {row.hex(' ')} {' ' * (48 - 3 * len(row))}....\n" for at, row in rows)


def test_the_trace_of_curl_has_every_byte_and_its_time(tmp_path: Path) -> None:
    blocks = [f"03:04:05.000000 => Send header, 9 bytes (0x9)\n{dump(REQUEST.encode())}"]
    blocks.append(f"03:04:05.100000 => Send header, 2 bytes (0x2)\n{dump(CRLF)}")
    blocks.append(f"03:04:05.500000 <= Recv header, 9 bytes (0x9)\n{dump(HEAD.encode())}")
    for n, event in enumerate(EVENTS):
        blocks.append(f"03:04:{6 + n:02}.000000 <= Recv data, {len(event)} bytes (0x0)\n{dump(event.encode())}")
    (only,) = recorded(tmp_path, "== Info: Connected\n" + "".join(blocks) + "== Info: left intact\n")
    is_the_stream(only)
    assert (only.request.method, only.arrivals_ms) == ("POST", (0, 1000, 2000, 3000, 4000))


def ascii_dump(data: bytes) -> str:
    """Rows as curl writes them: of 64 bytes, or up to a CRLF, which is not shown."""
    rows, at = "", 0
    while at < len(data):
        found = data.find(b"\r\n", at, at + 65)
        end = min(at + 64, len(data)) if found < 0 else found
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data[at:end])
        rows += f"{at:04x}: {shown}\n"
        at = end if found < 0 else end + 2
    return rows


def ascii_block(title: str, data: bytes, second: float = 5) -> str:
    return f"03:04:{second:09.6f} {title}, {len(data)} bytes ({len(data):#x})\n{ascii_dump(data)}"


@pytest.mark.parametrize("in_chunks", [True, False])
def test_the_ascii_trace_of_curl_gets_its_line_ends_back(tmp_path: Path, in_chunks: bool) -> None:
    events = [event.replace("ö", "o").encode() for event in EVENTS]
    head = (CHUNKED_HEAD if in_chunks else HEAD).encode()
    pieces = [chunked(event)[:-5] if in_chunks else event for event in events]
    blocks = [ascii_block("=> Send header", REQUEST.encode() + CRLF), ascii_block("<= Recv header", head)]
    blocks += [ascii_block("<= Recv data", piece, 6 + 6 * n) for n, piece in enumerate(pieces)]
    (only,) = recorded(tmp_path, "".join(blocks))
    got = decoded(only)
    assert (got.text, got.finish_reason, got.done, got.signature) == ("two words", "stop", True, "stall-resumed")
    assert only.arrivals_ms == (0, 6000, 12000, 18000, 24000)


def test_the_ascii_trace_of_typed_events(tmp_path: Path) -> None:
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in MESSAGES)
    (only,) = recorded(
        tmp_path, ascii_block("<= Recv header", HEAD.encode()) + ascii_block("<= Recv data", body.encode())
    )
    assert (decoded(only).finish_reason, decoded(only).done, decoded(only).error) == ("end_turn", True, None)


def test_an_ascii_trace_that_cuts_an_event_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it is of curl --trace-ascii, with an event that is cut in it; save --trace"):
        recorded(
            tmp_path, ascii_block("<= Recv header", HEAD.encode()) + ascii_block("<= Recv data", SSE[:90].encode())
        )


PACKETS = [ASKED.encode(), CHUNKED_HEAD.encode() + RAW_CHUNKS[:200], RAW_CHUNKS[200:]]


def tshark(kind: str, body: str) -> str:
    rule = "=" * 67
    nodes = "Node 0: 127.0.0.1:5\nNode 1: 127.0.0.1:80\n"
    return f"\n{rule}\nFollow: tcp,{kind}\nFilter: tcp.stream eq 0\n{nodes}{body}{rule}\n"


def hex_dump(data: bytes, indent: str) -> str:
    rows = [(at, data[at : at + 16]) for at in range(0, len(data), 16)]
    return "".join(f"{indent}{at:08x}  {row[:8].hex(' ')}  {row[8:].hex(' ')}   ......\n" for at, row in rows)


SIDES = ("", "\t", "\t")
FOLLOWED = {
    "saved as ASCII": b"".join(PACKETS),
    "saved as hex dump": "".join(
        hex_dump(one, "    " if side else "") for one, side in zip(PACKETS, SIDES, strict=True)
    ),
    "tshark raw": tshark("raw", "".join(f"{side}{one.hex()}\n" for one, side in zip(PACKETS, SIDES, strict=True))),
    "tshark hex": tshark("hex", "".join(hex_dump(one, side) for one, side in zip(PACKETS, SIDES, strict=True))),
    "tshark ascii": tshark(
        "ascii",
        "".join(
            f"{side}{len(one)}\n{one.decode()}\n"
            for one, side in zip([ASKED.encode(), (HEAD + SSE).encode()], SIDES, strict=False)
        ),
    ).replace("ö", "."),
}


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in FOLLOWED.items()])
def test_a_followed_stream(tmp_path: Path, content: str | bytes) -> None:
    (only,) = recorded(tmp_path, content)
    got = decoded(only)
    assert got.text.replace(".", "ö").replace("öö", "ö") == TEXT
    assert (got.finish_reason, got.done, only.request.model) == ("stop", True, "m")


def test_a_followed_stream_in_yaml_has_the_times_of_its_packets(tmp_path: Path) -> None:
    rows = ["peers:\n  - peer: 0\n    host: 127.0.0.1\n    port: 5\npackets:\n"]
    pieces = [ASKED.encode(), CHUNKED_HEAD.encode(), *(chunked(one.encode())[:-5] for one in EVENTS), b"0\r\n\r\n"]
    for n, piece in enumerate(pieces):
        packed = base64.b64encode(piece).decode()
        rows.append(
            f"  - packet: {n}\n    peer: 0\n    timestamp: {1700000000 + n}.5\n    data: !!binary |\n      {packed}\n"
        )
    (only,) = recorded(tmp_path, "".join(rows))
    is_the_stream(only)
    assert only.arrivals_ms == (0, 1000, 2000, 3000, 4000)


def test_one_time_for_a_whole_body_says_nothing_of_its_events(tmp_path: Path) -> None:
    packed = [base64.b64encode(piece.encode()).decode() for piece in (ASKED, HEAD, SSE)]
    packet = "  - peer: 0\n    timestamp: {}\n    data: !!binary |\n      {}\n"
    rows = "".join(packet.format(9.5 * n, data) for n, data in enumerate(packed))
    (only,) = recorded(tmp_path, "packets:\n" + rows)
    is_the_stream(only)
    assert only.arrivals_ms == ()


def test_a_followed_stream_that_is_encrypted_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="without HTTP/1 text in it; decrypt it"):
        recorded(tmp_path, tshark("raw", "1603010200\n\t16030300\n"))


@pytest.mark.parametrize("head", ["", HEAD, f"{ASKED}\r\n\r\n{HEAD}"], ids=["body", "head", "both sides"])
def test_events_that_httpie_formats(tmp_path: Path, head: str) -> None:
    rows = [f"data: {json.dumps(chunk, indent=4, sort_keys=True)}\n\n" for chunk in CHUNKS]
    (only,) = recorded(tmp_path, head + "".join(rows) + "data: [DONE]\n\n")
    is_the_stream(only)


def test_an_event_that_a_server_broke_into_lines_is_no_format(tmp_path: Path) -> None:
    broken = f"data: {json.dumps(CHUNKS[2], indent=4)}\n\n"
    (only,) = recorded(tmp_path, "".join(EVENTS[:2]) + broken + "".join(EVENTS[3:]))
    assert decoded(only).text != TEXT
