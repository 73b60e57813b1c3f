"""Reads HTTP/1 as text: requests and answers one after the other, as curl, recorders and packet tools write them.

Tools write down different things: a body may be without the chunks or the length that its head announces, a request
without its body, and an answer without its request. A head is believed only as far as the bytes agree with it.
"""

from __future__ import annotations

import re

from msgspec import Struct

from kmon.recording.arrivals import Marks, within
from kmon.recording.exchange import UNKNOWN_REQUEST, interaction
from kmon.recording.interaction import Interaction, Request, headers_of

HEAD_LIMIT_BYTES = 256 * 1024
MESSAGES_LIMIT = 10_000

_ANSWER = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})(?: ([^\r\n]*))?\r?\n")
_REQUEST = re.compile(rb"([A-Z]{3,10}) (\S{1,8192}) HTTP/\d(?:\.\d)?\r?\n")
_NEXT = re.compile(rb"(?m)^(?:HTTP/\d(?:\.\d)? +\d{3}|[A-Z]{3,10} \S{1,8192} HTTP/\d(?:\.\d)?\r?$)")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_CHUNK_HEAD = re.compile(rb"[ \t\r\n]{0,4}([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]{0,256})?\r?\n")


class Message(Struct, frozen=True):
    """One request or answer. ``start`` and ``end`` are the offsets of what its body was taken from."""

    first: tuple[str, str]
    """Method and target of a request; of an answer its status and its reason."""
    is_answer: bool
    headers: dict[str, str]
    body: bytes
    start: int
    end: int
    chunk_ends: tuple[tuple[int, int], ...] | None = None
    """Of a chunked body: the offset in ``body`` where each chunk ends, and in the bytes read."""


def begins(data: bytes) -> bool:
    """Whether ``data`` begins with the head of an answer, or of a request that is answered somewhere after it."""
    start = data[:HEAD_LIMIT_BYTES].lstrip()
    return bool(_ANSWER.match(start) or (_REQUEST.match(start) and re.search(rb"HTTP/\d(?:\.\d)? +\d{3}", data)))


def interactions_of(data: bytes, marks: Marks = (), *, first_index: int = 0) -> list[Interaction]:
    """One interaction per final answer. ``marks`` are times of ``data``; without them no time is known."""
    found: list[Interaction] = []
    request: Message | None = None
    read = messages(data)
    for place, message in enumerate(read):
        if not message.is_answer:
            request = message
            continue
        following = read[place + 1] if place + 1 < len(read) else None
        if _is_preliminary(message, following):
            continue
        found.append(
            interaction(
                first_index + len(found),
                _request(request),
                int(message.first[0]),
                message.headers,
                message.body,
                None,
                _marks(message, marks),
            )
        )
        request = None
    return found


def messages(data: bytes) -> list[Message]:
    """The requests and answers in ``data``; what stands before a head is left out."""
    found: list[Message] = []
    at = 0
    while len(found) < MESSAGES_LIMIT:
        message = _message(data, at)
        if message is None:
            begun = _NEXT.search(data, at + 1)
            if begun is None:
                break
            at = begun.start()
            continue
        found.append(message)
        at = message.end
    return found


def _message(data: bytes, at: int) -> Message | None:
    answer, asked = _ANSWER.match(data, at), _REQUEST.match(data, at)
    first = answer or asked
    if first is None:
        return None
    ended = _HEAD_END.search(data, first.end() - 2, at + HEAD_LIMIT_BYTES)
    start = len(data) if ended is None else ended.end()
    lines = data[first.end() : start].decode("utf-8", "replace").splitlines()
    headers = headers_of([line.split(":", 1) for line in lines if ":" in line])
    words = tuple((group or b"").decode("utf-8", "replace") for group in first.groups())
    if "chunked" in headers.get("transfer-encoding", "") and (unchunked := dechunked(data, start)):
        body, ends, end = unchunked
        return Message((words[0], words[1]), answer is not None, headers, body, start, end, ends)
    end = _body_end(data, start, headers.get("content-length", ""), is_answer=answer is not None)
    return Message((words[0], words[1]), answer is not None, headers, data[start:end], start, end)


def _body_end(data: bytes, start: int, length: str, *, is_answer: bool) -> int:
    """Where a body ends. A length counts if the data ends there or goes on with a head."""
    following = _NEXT.search(data, start)
    if length.isascii() and length.isdigit() and len(length) < 12:
        end = start + int(length)
        rest = data[end : end + 8192]
        if (end <= len(data) and not rest.strip()) or _ANSWER.match(rest) or _REQUEST.match(rest):
            return end if following is None or following.start() > start else start
    if not is_answer and not length:
        return start
    return len(data) if following is None else following.start()


def dechunked(data: bytes, start: int = 0) -> tuple[bytes, tuple[tuple[int, int], ...], int] | None:
    """A chunked body from ``start`` on: its content, the ends of its chunks, and where it ends; None if it is none.

    What is cut gives what there is.
    """
    body, ends = list[bytes](), list[tuple[int, int]]()
    at, size = start, 0
    while (head := _CHUNK_HEAD.match(data, at)) is not None:
        length = int(head[1], 16)
        if length == 0:
            trailer = _HEAD_END.match(data, head.end() - 2)
            return b"".join(body), tuple(ends), head.end() if trailer is None else trailer.end()
        content = data[head.end() : head.end() + length]
        after = data[head.end() + length : head.end() + length + 1]
        if after and after not in b"\r\n":
            break
        body.append(content)
        size += len(content)
        at = head.end() + len(content)
        ends.append((size, at))
    if not ends or (at < len(data) and data[at:].strip() and not _NEXT.search(data, at)):
        return None
    return b"".join(body), tuple(ends), at


def _marks(message: Message, marks: Marks) -> Marks:
    if not marks or message.chunk_ends is None:
        return within(marks, message.start, message.end) if marks else ()
    found = []
    place = 0
    for body_end, end in message.chunk_ends:
        while place < len(marks) and marks[place][0] < end:
            place += 1
        if place == len(marks):
            return ()
        found.append((body_end, marks[place][1]))
    return found


def _is_preliminary(answer: Message, following: Message | None) -> bool:
    """Whether another answer to the same request follows: after 100, a proxy's CONNECT, or a redirection."""
    status, reason = int(answer.first[0]), answer.first[1].strip().lower()
    if status < 200 or (status == 200 and reason == "connection established"):
        return True
    return 300 <= status < 400 and following is not None and following.is_answer


def _request(message: Message | None) -> Request:
    """The request as one that asked for a stream if its body was not written down."""
    if message is None:
        return UNKNOWN_REQUEST
    target = message.first[1]
    url = target if "://" in target else f"http://{message.headers.get('host', '')}{target}"
    return Request(message.first[0], url, message.headers, message.body.strip() or UNKNOWN_REQUEST.body)
