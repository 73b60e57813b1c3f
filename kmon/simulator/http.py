"""HTTP/1.1 for the simulator: parses requests and encodes responses. Does no I/O and knows no dialect.

Sizes are limited, because the clients under test may be faulty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

import h11
from msgspec import Struct

from kmon.dialects.server_request import LINE_BREAKER, FieldError, NotLocalError, request_fields

HEAD_LIMIT_BYTES = 32 * 1024
BODY_LIMIT_BYTES = 32 * 1024 * 1024
CHUNK_LINE_LIMIT_BYTES = 1024
PIECE_BYTES = 64 * 1024
"""The most of a chunked body that h11 gets at a time, because only h11 finds its end."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

Headers = tuple[tuple[str, str], ...]
Check = Callable[[str, int, Mapping[str, str]], None]
"""Called with target, minor version and fields of each request; raises :class:`NotLocalError` for one of a web page."""


class HttpError(Exception):
    """A request that cannot be served; the connection closes after an answer of this ``status``."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


class ServerRequest(Struct, frozen=True):
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
    """Parses the bytes of a connection into requests. :meth:`next` raises :class:`HttpError` for invalid bytes.

    ``check`` is called with each head before its body is read. Each request gets a new h11 connection, because h11
    would wait for the answer before the next request, and it does not see the answers.
    """

    def __init__(self, check: Check | None = None) -> None:
        self._check = check
        self._buffer = bytearray()
        self._h11 = _new_h11()
        self._head: ServerRequest | None = None
        self._length: int | None = None
        self._body = bytearray()
        self._continue_due = False

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

    def take_rest(self) -> bytes:
        """What came after the last request, which is no HTTP any more."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def take_continue(self) -> bool:
        """True once per request whose client waits for ``100 Continue`` before it sends the body."""
        due, self._continue_due = self._continue_due, False
        return due

    def next(self) -> ServerRequest | None:
        """The next complete request, or None while more bytes are needed."""
        if self._head is None and not self._read_head():
            return None
        while not isinstance(event := _event(self._h11), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > BODY_LIMIT_BYTES:
                    raise HttpError(413, f"request body over {BODY_LIMIT_BYTES} bytes")
            elif not self._buffer:
                return None
            else:
                size = PIECE_BYTES if self._length is None else self._length - len(self._body)
                self._h11.receive_data(bytes(self._buffer[:size]))
                del self._buffer[:size]
        self._buffer[:0] = self._h11.trailing_data[0]
        head = self._head
        assert head is not None
        request = ServerRequest(head.method, head.path, head.query, head.headers, bytes(self._body))
        self._head, self._h11, self._continue_due = None, _new_h11(), False
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
        self._head, self._length = _parse_head(self._h11, bytes(self._buffer[: end + 4]), self._check)
        self._continue_due = self._h11.they_are_waiting_for_100_continue
        del self._buffer[: end + 4]
        return True


def _new_h11() -> h11.Connection:
    """A parser of one request. It gets heads whole, so its limit is for the lines between chunks and for trailers."""
    return h11.Connection(h11.SERVER, max_incomplete_event_size=CHUNK_LINE_LIMIT_BYTES)


def _event(connection: h11.Connection) -> object:
    try:
        return connection.next_event()
    except h11.RemoteProtocolError as error:
        problem = str(error).partition(":")[0]  # after the colon h11 quotes the bytes, which may hold a key
        if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            problem = "a line between chunks is too long"
        raise HttpError(400, f"this is no request of HTTP/1.1: {problem}") from None


def _refuse_garbage(start: bytes) -> None:
    """Raise HttpError as soon as the first line cannot be HTTP; it may have no end (a TLS hello has none)."""
    line = start.split(b"\r\n", 1)[0]
    if not line.isascii() or any(byte < 0x20 for byte in line.rstrip(b"\r")):
        raise HttpError(400, "this is not HTTP; the simulator speaks plain HTTP/1.1 (http://, not https://)")


def _parse_head(connection: h11.Connection, head: bytes, check: Check | None) -> tuple[ServerRequest, int | None]:
    """A request without its body, and the length of the body in bytes: None for a chunked one."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    connection.receive_data(head)
    try:
        if LINE_BREAKER.search(first):
            raise HttpError(400, "malformed request line")
        headers = request_fields(lines)  # stricter than h11: fields that parsers read differently are refused
        try:
            parsed = _event(connection)
        except HttpError:
            if check is not None:
                check("/", 1, headers)  # its messages about Host, and those of _body_length, are better
            _body_length(headers)
            raise
        assert isinstance(parsed, h11.Request)
        if parsed.http_version != b"1.1":
            raise HttpError(505, "only HTTP/1.1 is spoken here")
        url = parsed.target.decode()
        if check is not None:
            check(url, 1, headers)
        length, parts = _body_length(headers), urlsplit(url)
    except NotLocalError as error:
        raise HttpError(error.status, str(error), error.code) from None
    except FieldError as error:
        raise HttpError(400, str(error)) from None
    except ValueError:
        raise HttpError(400, "malformed URL") from None
    return ServerRequest(
        parsed.method.decode(), unquote(parts.path), dict(parse_qsl(parts.query)), headers, b""
    ), length


def _body_length(headers: dict[str, str]) -> int | None:
    length, coding = headers.get("content-length", "0"), headers.get("transfer-encoding")
    if coding is not None:
        if coding.lower() != "chunked" or "content-length" in headers:
            raise HttpError(400, "Transfer-Encoding must be 'chunked' alone, without Content-Length")
        return None
    if not (length.isascii() and length.isdigit()) or len(length) > 15:
        raise HttpError(400, "Content-Length is not a number")
    if int(length) > BODY_LIMIT_BYTES:
        raise HttpError(413, f"request body over {BODY_LIMIT_BYTES} bytes")
    return int(length)


def response_head(status: int, headers: Headers) -> bytes:
    """Status line and headers as bytes. Header values must not hold line ends."""
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
