"""Where the body of an HTTP/1.1 message ends, and which of its bytes are payload. Nothing is changed or kept."""

from __future__ import annotations

from typing import Literal

from kmon.dialects.server_request import LINE_BREAKER
from kmon.proxy.relay.head import HeadError, RequestHead, ResponseHead

SIZE_LINE_LIMIT_BYTES = 4_096
TRAILER_LIMIT_BYTES = 64 * 1024
_HEX = frozenset(b"0123456789abcdefABCDEF")


class Body:
    """One body. ``length`` is its size in bytes, or how its end is marked.

    A ``strict`` one refuses chunks that parsers may split differently: bare line feeds, blanks before a size, NULs.
    """

    def __init__(self, length: int | Literal["chunked", "until-close"], *, strict: bool = False) -> None:
        self._strict = strict
        self._chunked = length == "chunked"
        self._until_close = length == "until-close"
        self._left = length if isinstance(length, int) else 0
        self._step: Literal["size", "data", "crlf", "trailers"] = "size"
        self._line = bytearray()
        self.done = length == 0

    @property
    def until_close(self) -> bool:
        """Whether the end of the connection is the end of the body."""
        return self._until_close

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """The payload in ``data``, and how many bytes of ``data`` belong to this body.

        Raises :class:`HeadError` for invalid chunks.
        """
        if self.done:
            return b"", 0
        if self._until_close:
            return data, len(data)
        if not self._chunked:
            taken = min(self._left, len(data))
            self._left -= taken
            self.done = self._left == 0
            return data[:taken], taken
        return self._chunks(data)

    def _chunks(self, data: bytes) -> tuple[bytes, int]:
        pieces: list[bytes] = []
        at, end = 0, len(data)
        while at < end and not self.done:
            if self._step == "data":
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._step = "crlf"
                continue
            newline = data.find(b"\n", at)
            stop = end if newline < 0 else newline + 1
            self._line += data[at:stop]
            at = stop
            if newline < 0:
                if len(self._line) > (TRAILER_LIMIT_BYTES if self._step == "trailers" else SIZE_LINE_LIMIT_BYTES):
                    raise HeadError("a line between chunks that does not end")
                break
            line = bytes(self._line)
            self._take_line(_without_end(line) if self._strict else line.strip())
            self._line.clear()
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), at

    def _take_line(self, line: bytes) -> None:
        if self._step == "crlf":
            if line:
                raise HeadError("a chunk that is longer than its size")
            self._step = "size"
        elif self._step == "trailers":
            self.done = not line
        else:
            size = line.partition(b";")[0].rstrip(b" \t")
            if not size or len(size) > 15 or not _HEX.issuperset(size):
                raise HeadError("a chunk without its size")
            self._left = int(size, 16)
            self._step = "data" if self._left else "trailers"


def _without_end(line: bytes) -> bytes:
    if not line.endswith(b"\r\n") or LINE_BREAKER.search(line, 0, len(line) - 2):
        raise HeadError("a line between chunks with a NUL in it, or one that does not end in CRLF")
    return line[:-2]


def body_of_request(head: RequestHead) -> Body:
    """The body that follows a request head. Raises :class:`HeadError` for an invalid length.

    A length that two parsers could read differently is refused, against request smuggling.
    """
    length = head.headers.get("content-length")
    if (coding := head.headers.get("transfer-encoding")) is not None:
        if length is not None:
            raise HeadError("a request with both Content-Length and Transfer-Encoding")
        if head.minor == 0:
            raise HeadError("a Transfer-Encoding in HTTP/1.0, which has none")
        *others, last = (part.strip(" \t").lower() for part in coding.split(","))
        if last != "chunked" or "chunked" in others:
            raise HeadError("a Transfer-Encoding that is not chunked once, at its end", 501)
        return Body("chunked", strict=True)
    if length is not None and "," in length:
        raise HeadError("more than one Content-Length")
    return Body(0 if length is None else _length(length))


def body_of_response(head: ResponseHead, method: str) -> Body:
    """The body that follows a final response head (RFC 9112, section 6.3)."""
    if method == "HEAD" or head.status in (204, 304):
        return Body(0)
    if head.lists("transfer-encoding", "chunked"):
        return Body("chunked")
    if "transfer-encoding" in head.headers or "content-length" not in head.headers:
        return Body("until-close")
    return Body(_length(head.headers["content-length"]))


def _length(value: str) -> int:
    lengths = {part.strip(" \t") for part in value.split(",")}
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()) or len(length) > 18:
        raise HeadError("a Content-Length that is no number")
    return int(length)
