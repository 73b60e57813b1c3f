"""Heads of HTTP/1.1 messages: found in bytes, parsed, and given another Host; no other byte of them changes.

Parsed by hand and not with h11, which writes every message anew: the relay must forward the bytes that came.
"""

from __future__ import annotations

import re

from msgspec import Struct

from kmon.dialects.server_request import FieldError, request_fields

HEAD_LIMIT_BYTES = 256 * 1024
"""Signed requests and cookies make long heads; a longer one is refused."""
METHOD_LIMIT_BYTES = 32
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([^ \x00-\x1f\x7f]+) HTTP/1\.([01])\Z")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?\Z")
_HOST_LINE = re.compile(rb"(?im)^host:[^\r\n]*")
_END = re.compile(rb"\r?\n\r?\n")


class HeadError(ValueError):
    """Bytes that are not passed on; the text says why, ``status`` and ``code`` are those of the answer.

    ``reported``: whether ``complain`` was called for it already.
    """

    def __init__(self, message: str, status: int = 400, code: str = "bad-request", *, reported: bool = False) -> None:
        super().__init__(message)
        self.status, self.code, self.reported = status, code, reported


class Head(Struct, frozen=True):
    """The fields of both kinds of head. Names are lower case; values of a repeated name are joined with commas."""

    headers: dict[str, str]
    minor: int
    """1 for HTTP/1.1, 0 for HTTP/1.0."""

    def lists(self, name: str, word: str) -> bool:
        """Whether the comma-separated header ``name`` holds ``word``."""
        return word in (part.strip().lower() for part in self.headers.get(name, "").split(","))


class RequestHead(Head, frozen=True):
    """``target`` is as sent: path and query."""

    method: str
    target: str

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def upgrade(self) -> bool:
        """Whether the client asks for another protocol, such as WebSocket, on this connection."""
        return self.lists("connection", "upgrade") and bool(self.headers.get("upgrade"))


class ResponseHead(Head, frozen=True):
    status: int

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").split(";")[0].strip().lower()


def end_of_head(data: bytes | bytearray, looked_bytes: int = 0) -> int | None:
    """Where the head at the start of ``data`` ends, its blank line included; None if it is incomplete.

    The first ``looked_bytes`` were searched before, so that a slow head is not searched again with every byte.

    Raises :class:`HeadError` for one that is too long.
    """
    found = _END.search(data, max(0, looked_bytes - 3))
    if found is not None:
        return found.end()
    if len(data) > HEAD_LIMIT_BYTES:
        raise HeadError(f"a head of more than {HEAD_LIMIT_BYTES // 1024} KiB", 431)
    return None


def refuse_other_protocols(data: bytes | bytearray) -> None:
    """Raise :class:`HeadError` as soon as the first bytes of a connection cannot become an HTTP/1.1 request."""
    if data[:2] == b"\x16\x03":
        raise HeadError("the client speaks TLS: use http:// in the base URL, kmon itself talks TLS to the upstream")
    if data[:14] == b"PRI * HTTP/2.0":
        raise HeadError("the client speaks HTTP/2 without asking: kmon proxy speaks HTTP/1.1", 505)
    method, blank, _ = bytes(data[: METHOD_LIMIT_BYTES + 1]).partition(b" ")
    if not _METHOD.match(method) or (not blank and len(data) > METHOD_LIMIT_BYTES):
        raise HeadError("the client speaks no HTTP")


def request_head(data: bytes) -> RequestHead:
    """Parse a whole request head, strictly: the upstream must not read it differently. Raises :class:`HeadError`."""
    line, *rest = data.removesuffix(b"\r\n\r\n").split(b"\r\n")
    found = _REQUEST_LINE.match(line)
    if found is None:
        raise HeadError("the client speaks no HTTP/1.1")
    method, target = found[1].decode(), found[2].decode("latin-1")
    if method == "CONNECT" or not target.startswith(("/", "*")):
        status = 405 if method == "CONNECT" else 421
        sentence = "this is a base URL, not the proxy of HTTP_PROXY; give it to the program as its base URL"
        raise HeadError(sentence, status)
    try:
        return RequestHead(request_fields(rest), int(found[3]), method, target)
    except FieldError as error:
        raise HeadError(str(error)) from None


def response_head(data: bytes) -> ResponseHead:
    """Parse a whole response head, tolerantly: its bytes are passed on in any case. Raises :class:`HeadError`."""
    line, headers = _lines(data)
    found = _STATUS_LINE.match(line)
    if found is None:
        raise HeadError("the answer is no HTTP/1.1")
    return ResponseHead(headers, int(found[1]), int(found[2]))


def with_host(data: bytes, host: str) -> bytes:
    """The head with its Host replaced (or given, where HTTP/1.0 had none); every other byte as it was."""
    line = b"Host: " + host.encode("latin-1")
    if _HOST_LINE.search(data):
        return _HOST_LINE.sub(lambda _: line, data, count=1)
    first, newline, rest = data.partition(b"\n")
    return first + newline + line + b"\r\n" + rest


def _lines(data: bytes) -> tuple[bytes, dict[str, str]]:
    first, *rest = data.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    headers: dict[str, str] = {}
    key = ""
    for line in rest:
        if line[:1] in (b" ", b"\t"):  # a folded line continues the one before it, framing fields too
            if key:
                headers[key] = f"{headers[key]} {line.strip().decode('latin-1')}".strip()
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            continue  # a broken line is left to client and upstream
        key, text = name.strip().lower().decode("latin-1"), value.strip().decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return first, headers
