"""One recorded request and its answer, whatever file it came from."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from kmon.dialects.dialect import Route
from kmon.dialects.json_access import members, parsed, text
from kmon.dialects.registry import routed

SECRET_HEADERS = ("authorization", "proxy-authorization", "api-key", "cookie", "set-cookie", "x-amz-security-token")


class Request(Struct, frozen=True):
    """What was sent. Header names are lower case; credentials are left out when loading."""

    method: str = ""
    url: str = ""
    headers: dict[str, str] = {}
    body: bytes = b""

    @property
    def members(self) -> dict[str, Any]:
        """The members of a JSON body; none if it is something else."""
        try:
            return members(parsed(self.body)) if self.body else {}
        except ValueError:
            return {}

    @property
    def model(self) -> str:
        """The model asked for: in the body, or in the path."""
        return text(self.members.get("model")) or self._route.model

    @property
    def wants_stream(self) -> bool:
        """Whether a stream was asked for, in the body or by the operation in the path."""
        return self.members.get("stream") is True or self._route.stream is True

    @property
    def _route(self) -> Route:
        found = routed(urlsplit(self.url).path)
        return Route() if found is None else found[1]


class Interaction(Struct, frozen=True):
    """A request and its answer.

    ``index`` counts from 0 in the file. ``status`` is None where nothing
    tells it: a raw body that is no stream (a raw stream can only have been the body of a 200). ``body`` is as it went
    over the wire, content encodings undone. ``duration_ms`` is the recorded time from request to end, if any.
    ``dialect`` is what the answer speaks as far as can be told: ``chat``, ``converse``, ``messages``, ``deepinfra``,
    ``bedrock-invoke``, or one kmon cannot decode (``responses``, ``gemini``). ``arrivals_ms`` are the arrival times of
    the SSE events and comments in ``body``, counted from the first, where the recording knows them (kmon's own).
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

    @property
    def content_type(self) -> str:
        """The media type of the answer, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def headers_of(value: object) -> dict[str, str]:
    """Header names in lower case to values, from any of the shapes in use; credentials are dropped."""
    found: dict[str, str] = {}
    for name, said in members(value).items():
        key = _plain(name).lower()
        if key not in SECRET_HEADERS and not key.endswith(("-api-key", "-token")):
            values = said if isinstance(said, list | tuple) else [said]
            found[key] = ", ".join(_plain(one) for one in values)
    return found


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)
