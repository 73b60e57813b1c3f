"""The HTTP/1.1 floor: bytes to requests, and responses to bytes. Does no I/O and knows no dialect.

Limits are part of it, because a simulator is where clients are tested that do not behave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

from kmon.dialects.local_only import NotLocalError
from kmon.dialects.request_fields import FieldError, request_fields

HEAD_LIMIT_BYTES = 32 * 1024
BODY_LIMIT_BYTES = 32 * 1024 * 1024
CHUNK_LINE_LIMIT_BYTES = 1024

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

Headers = tuple[tuple[str, str], ...]
Check = Callable[[str, int, Mapping[str, str]], None]
"""Called with target, minor version and fields of each request; raises :class:`NotLocalError` for a page of the web."""


class HttpError(Exception):
    """A request that cannot be served; ``status`` is the answer it deserves, after which the connection closes."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


class Request(Struct, frozen=True):
    """A whole request. Header names are lower case; the values of a repeated header are joined by commas."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants the connection left open."""
        return "close" not in self.headers.get("connection", "").lower()


class RequestParser:
    """Bytes in, requests out, in order. :meth:`next` raises :class:`HttpError` once the bytes make no sense.

    ``check`` judges each head before its body is read; without it everybody may ask.
    """

    def __init__(self, check: Check | None = None) -> None:
        self._check = check
        self._buffer = bytearray()
        self._head: Request | None = None
        self._length: int | None = None
        self._body = bytearray()
        self._in_trailer = False
        self._continue_owed = False

    @property
    def buffered_bytes(self) -> int:
        """Bytes received and not yet part of a request."""
        return len(self._buffer)

    @property
    def started(self) -> bool:
        """True when a request has begun and is not complete."""
        return self._head is not None or bool(self._buffer)

    @property
    def at_head_request(self) -> bool:
        """True when a HEAD request, whose answer has no body, is what was received and not read yet."""
        return self._buffer.startswith(b"HEAD ")

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def take_continue(self) -> bool:
        """True once per request whose client waits for ``100 Continue`` before it sends the body."""
        owed, self._continue_owed = self._continue_owed, False
        return owed

    def next(self) -> Request | None:
        """The next complete request, or None while more bytes are needed."""
        if self._head is None and not self._read_head():
            return None
        if not (self._read_chunked() if self._length is None else self._read_sized(self._length)):
            return None
        head = self._head
        assert head is not None
        request = Request(head.method, head.path, head.query, head.headers, bytes(self._body))
        self._head, self._continue_owed, self._in_trailer = None, False, False
        self._body.clear()
        return request

    def _read_head(self) -> bool:
        while self._buffer.startswith(b"\r\n"):  # stray line ends before a request line are allowed
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n")
        if end > HEAD_LIMIT_BYTES or (end < 0 and len(self._buffer) > HEAD_LIMIT_BYTES):
            raise HttpError(431, f"request head over {HEAD_LIMIT_BYTES} bytes")
        if end < 0:
            _refuse_garbage(bytes(self._buffer[:256]))
            return False
        head = _parse_head(bytes(self._buffer[:end]), self._check)
        del self._buffer[: end + 4]
        self._head, self._length = head, _body_length(head.headers)
        self._continue_owed = "100-continue" in head.headers.get("expect", "").lower()
        return True

    def _read_sized(self, length: int) -> bool:
        if len(self._buffer) < length:
            return False
        self._body += self._buffer[:length]
        del self._buffer[:length]
        return True

    def _read_chunked(self) -> bool:
        while True:
            end = self._buffer.find(b"\r\n")
            if end > CHUNK_LINE_LIMIT_BYTES or (end < 0 and len(self._buffer) > CHUNK_LINE_LIMIT_BYTES):
                raise HttpError(400, "chunk size line too long")
            if end < 0:
                return False
            line = bytes(self._buffer[:end])
            if self._in_trailer:
                del self._buffer[: end + 2]
                if not line:
                    return True
                continue
            size = _chunk_size(line)
            if len(self._body) + size > BODY_LIMIT_BYTES:
                raise HttpError(413, f"request body over {BODY_LIMIT_BYTES} bytes")
            if size == 0:
                self._in_trailer = True
                del self._buffer[: end + 2]
                continue
            if len(self._buffer) < end + 2 + size + 2:
                return False
            if self._buffer[end + 2 + size : end + 4 + size] != b"\r\n":
                raise HttpError(400, "chunk does not end where its size says")
            self._body += self._buffer[end + 2 : end + 2 + size]
            del self._buffer[: end + 4 + size]


def _refuse_garbage(start: bytes) -> None:
    """Say no as soon as the first line cannot be HTTP, instead of waiting for its end (a TLS hello has none)."""
    line = start.split(b"\r\n", 1)[0]
    if not line.isascii() or any(byte < 0x20 for byte in line.rstrip(b"\r")):
        raise HttpError(400, "this is not HTTP; the simulator speaks plain HTTP/1.1 (http://, not https://)")


def _parse_head(head: bytes, check: Check | None) -> Request:
    first, *lines = head.split(b"\r\n")
    words = first.decode("latin-1").split(" ")
    if len(words) != 3 or not words[0].isalpha() or not words[2].startswith("HTTP/"):
        raise HttpError(400, "malformed request line")
    method, url, version = words
    if version != "HTTP/1.1":
        raise HttpError(505, "only HTTP/1.1 is spoken here")
    try:
        headers = request_fields(lines)
        if check is not None:
            check(url, 1, headers)
    except FieldError as error:
        raise HttpError(400, str(error)) from None
    except NotLocalError as error:
        raise HttpError(error.status, str(error), error.code) from None
    try:
        parts = urlsplit(url)
    except ValueError:
        raise HttpError(400, "malformed URL") from None
    return Request(method, unquote(parts.path), dict(parse_qsl(parts.query)), headers, b"")


def _body_length(headers: dict[str, str]) -> int | None:
    """Body length in bytes; None for a chunked body."""
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None:
            raise HttpError(400, "Transfer-Encoding must be 'chunked' alone, without Content-Length")
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit()) or len(length) > 15:
        raise HttpError(400, "Content-Length is not a number")
    if int(length) > BODY_LIMIT_BYTES:
        raise HttpError(413, f"request body over {BODY_LIMIT_BYTES} bytes")
    return int(length)


def _chunk_size(line: bytes) -> int:
    digits = line.split(b";", 1)[0].strip()
    if not digits or len(digits) > 8 or digits.strip(b"0123456789abcdefABCDEF"):
        raise HttpError(400, "malformed chunk size")
    return int(digits, 16)


def response_head(status: int, headers: Headers) -> bytes:
    """Status line and headers. Header values must not hold line ends."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")


def chunk(data: bytes) -> bytes:
    """One HTTP chunk. ``data`` must not be empty: an empty chunk ends the body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def whole(status: int, headers: Headers, body: bytes, *, close: bool = False) -> bytes:
    """A complete response with a sized body."""
    extra = (("content-length", str(len(body))), *((("connection", "close"),) if close else ()))
    return response_head(status, (*headers, *extra)) + body
