"""A recorded request and its response, in one shape for all file formats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from kmon.dialects.dialect import Route, WireFormat
from kmon.dialects.json_access import members, parsed, text
from kmon.dialects.registry import routed

SECRET_HEADERS = ("authorization", "proxy-authorization", "api-key", "cookie", "set-cookie", "x-amz-security-token")


class Request(Struct, frozen=True):
    """The request. Header names are lower case; headers with credentials are removed when a file is loaded."""

    method: str = ""
    url: str = ""
    headers: dict[str, str] = {}
    body: bytes = b""

    @property
    def members(self) -> dict[str, Any]:
        """The members of a JSON object in the body; empty for any other body."""
        try:
            return members(parsed(self.body)) if self.body else {}
        except ValueError:
            return {}

    @property
    def model(self) -> str:
        """The requested model, from the body or the path."""
        found = self._routed
        return text(self.members.get("model")) or ("" if found is None else found[1].model)

    @property
    def wants_stream(self) -> bool:
        """Whether a stream was requested, by the body or the path."""
        found = self._routed
        if found is None:
            return self.members.get("stream") is True
        spoken, route = found
        return spoken.streamed(self.members) or route.stream is True

    @property
    def wants_usage(self) -> bool:
        """Whether token counts at the end of the stream were asked for."""
        return members(self.members.get("stream_options")).get("include_usage") is True

    @property
    def _routed(self) -> tuple[WireFormat, Route] | None:
        return routed(urlsplit(self.url).path)


class Interaction(Struct, frozen=True):
    """A request and its response.

    ``index`` counts from 0 in the file. ``status`` is None if it is not recorded: for a raw body that is no stream (a
    raw stream is taken as the body of a 200). ``body`` is without content encodings. ``dialect`` is detected from the
    response: ``chat``, ``converse``, ``messages``, ``responses``, ``gemini``, ``deepinfra``, ``ollama``,
    ``bedrock-invoke``, or one that is only named (``kmon/dialects/unread_dialects.py``). ``duration_ms`` is the time
    from request to end, if recorded. ``arrivals_ms`` has the arrival times of the events and comments in ``body``, as
    its framing splits it, relative to the first; it is empty where the file has no times. ``problem`` is a sentence
    about a body that cannot be read, although the file can.
    """

    index: int
    request: Request
    status: int | None
    headers: dict[str, str]
    body: bytes
    dialect: str
    streaming: bool
    duration_ms: float | None = None
    arrivals_ms: tuple[float, ...] = ()
    problem: str | None = None
    ends_kept: bool = True
    """Whether the file has what comes after the last event of an SDK: lists of chunks have no ``[DONE]``."""

    @property
    def content_type(self) -> str:
        """The media type of the response, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def headers_of(value: object) -> dict[str, str]:
    """Headers by lower-case name; credentials are removed.

    ``value`` is a mapping to a value or a list of values, or a list of ``{name, value}`` or of pairs.
    """
    found: dict[str, str] = {}
    for name, content in _fields(value):
        key = _plain(name).strip().lower()
        if key not in SECRET_HEADERS and not key.endswith(("-api-key", "-token")):
            values = content if isinstance(content, list | tuple) else [content]
            said = ", ".join(_plain(one).strip() for one in values)
            found[key] = f"{found[key]}, {said}" if key in found else said
    return found


def _fields(value: object) -> Iterator[tuple[object, object]]:
    if isinstance(value, dict):
        yield from value.items()
    for one in value if isinstance(value, list | tuple) else ():
        if isinstance(one, dict):
            yield one.get("name", one.get("key")), one.get("value")
        elif isinstance(one, list | tuple) and len(one) == 2:
            yield one[0], one[1]


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)
