"""The interface of a dialect: all that is particular to a wire format is in one object.

A :class:`WireFormat` can be read: it recognises and decodes a recording or an exchange of another program. A
:class:`Dialect` can be the ``dialect`` of a target: kmon sends requests in it. Most are both, an :class:`HttpDialect`:
one request, one streamed answer. mypy and Python refuse to create an object in which an abstract part is missing. None
of them does I/O.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct, structs

from kmon.dialects.bounds import frame_text
from kmon.dialects.delta import Delta
from kmon.dialects.framing import SSE_TYPE, Framing
from kmon.dialects.json_access import items, members, parsed, text
from kmon.dialects.socket_turns import SocketTurns
from kmon.model import Auth, PromptMessage, Scenario, Target

SSE_HEADERS = {
    "Accept": SSE_TYPE,
    "Accept-Encoding": "identity",  # compressed streams are buffered and hide the gaps
    "Content-Type": "application/json",
}
"""The headers of a request for server-sent events."""
_ENDS = ("stop", "stop_sequences", "stopSequences", "stop_token_ids", "suffix")
"""Names of the members by which a request says where an answer is to end."""
Transport = Literal["http", "aws", "turns", "websocket", "gateway"]
"""What carries an attempt: plain HTTP, the AWS client (SigV4), the messages of an HTTP dialect over a WebSocket, a
WebSocket that kmon only reads, or a gateway's protocol over a WebSocket."""
HTTP_SCHEMES, WEBSOCKET_SCHEMES = ("http", "https"), ("ws", "wss")
OWN_MEMBERS = frozenset({"model", "messages", "tools", "stream"})


class WireRequest(Struct, frozen=True):
    """An HTTP request without its credentials. ``path`` is appended to the target's base URL."""

    path: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"


class Decoder(Protocol):
    """Bytes in, deltas out; any split of the bytes gives the same deltas.

    ``end`` is called once at the end of the body and returns what was still pending (an unterminated tail becomes
    a delta or an error with its frame kept). Neither ever raises on bad input.
    """

    def feed(self, data: bytes) -> list[Delta]: ...

    def end(self) -> list[Delta]: ...


class Route(Struct, frozen=True):
    """What the path of a request says. ``model`` is empty and ``stream`` None if the body has them."""

    model: str = ""
    stream: bool | None = None


FAILED_PARTS = frozenset({
    "error", "failed", "failure", "abort", "aborted", "cancel", "cancelled", "canceled", "timeout", "interrupted",
    "overloaded", "unavailable", "exception", "insufficient", "malformed", "invalid", "unexpected", "filter",
    "filtered", "safety", "sensitive", "blocked", "prohibited", "intervened",
})  # fmt: skip
"""Parts of the words for a failed answer, as in ``network_error`` or ``function_call_filter: MALFORMED_FUNCTION_CALL``;
no word for a good end has one. In lower case; any case is read."""
FAILED = frozenset({
    "recitation", "language", "blocklist", "spii", "image_recitation", "no_image", "model_armor", "too_many_tool_calls",
    "missing_thought_signature", "repetition",
})  # fmt: skip
"""Further words for one: Google's, which its other endpoints pass on, and vLLM's for a repetition that it broke off."""
_PART = re.compile(r"[a-z]+")


class FinishWords(Struct, frozen=True):
    """The finish reasons that findings need, by meaning. Any other word is an ordinary end."""

    tools: frozenset[str] = frozenset({"tool_calls", "function_call", "tool_use"})
    """The answer ends in tool calls. Gateways pass on the words of several vendors."""
    length: frozenset[str] = frozenset({"length", "max_tokens", "MAX_TOKENS", "max_output_tokens", "model_length"})
    """The output cap cut the answer."""
    failed: frozenset[str] = FAILED
    """The server gave up, produced something unusable, or withheld the rest, beside what :data:`FAILED_PARTS` finds."""
    whole: frozenset[str] = frozenset({"stop", "end_turn", "eos", "eos_token", "completed"})
    """The model ended its answer by itself, as far as the server says. In lower case; any case is read."""
    required: bool = True
    """Whether an answer that ended without a reason may be cut: not where the terminal event alone says it is whole."""
    without_output: frozenset[str] = frozenset()
    """The answer may end without output: none was asked for, or the reason says why there is none."""
    more_follows: bool = False
    """Whether output may follow a finish reason after a pause: it ends a round of the answer, not always the answer."""

    def is_failure(self, reason: str | None) -> bool:
        """Whether the finish reason says that the answer failed."""
        if reason is None:
            return False
        word = reason.lower()
        return word in self.failed or not FAILED_PARTS.isdisjoint(_PART.findall(word))


class WireFormat(ABC):
    """Recognises and decodes the answers of a dialect, and reads its requests. Has no state."""

    finish_words = FinishWords()
    final = True
    """Whether nothing about an answer follows its terminal event, so that kmon need not wait for the peer to close."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name in targets, events, JSON and ``--dialect``."""

    @property
    @abstractmethod
    def framings(self) -> tuple[Framing, ...]:
        """How the events of a streamed answer may be sent. The first is the one that kmon asks for."""

    @property
    def media_types(self) -> frozenset[str]:
        """The media types of a streamed answer."""
        return frozenset(media_type for framing in self.framings for media_type in framing.media_types)

    def begins(self, body: bytes) -> bool:
        """Whether a body that begins like this certainly is a streamed answer, whatever its content type says."""
        return any(framing.certain and framing.begins(body) for framing in self.framings)

    @abstractmethod
    def route(self, path: str) -> Route | None:
        """What the path of a request says; any prefix is ignored. None for another dialect."""

    @abstractmethod
    def recognises(self, event: str, value: Mapping[str, Any]) -> bool:
        """Whether one event of a stream certainly is of this dialect, by its name ("" if none) and its members."""

    @abstractmethod
    def decoder(self) -> Decoder:
        """A fresh decoder of one streamed answer."""

    @abstractmethod
    def whole(self, value: dict[str, Any]) -> Delta:
        """The meaning of an answer that was not streamed, from its members."""

    def whole_answer(self, body: bytes) -> Delta | None:
        """The meaning of a whole JSON answer as one delta with ``done``; None if ``body`` is no JSON object."""
        try:
            value = parsed(body)
        except ValueError:
            return None
        if not isinstance(value, dict):
            return None
        return structs.replace(self.whole(value), done=True, raw=frame_text(body))

    def socket(self) -> SocketTurns | None:
        """A fresh fold over a WebSocket at a path of this format; None if none carries it."""
        return None

    def error_in(self, value: object) -> object:
        """The part of an HTTP error's JSON body that describes the error; ``value`` itself if there is no envelope."""
        return error_member(value)

    def streamed(self, value: Mapping[str, Any]) -> bool:
        """Whether a request with these members asks for a stream, if its path does not say."""
        return value.get("stream") is True

    def turns(self, value: Mapping[str, Any]) -> Sequence[object]:
        """The messages of a request, each with ``role`` and ``content``."""
        return messages_member(value)

    def tool_names(self, value: Mapping[str, Any]) -> Sequence[str]:
        """The names of the tools that a request offers; "" for one whose name it does not say."""
        return named_tools(value)


class Dialect(ABC):
    """A dialect in which kmon can send requests to a target."""

    transport: Transport = "http"
    auth: Auth = "bearer"
    """How the key is sent to an endpoint that is not in a catalog. With the transport ``aws`` it is always ``aws``."""
    key_env: tuple[str, ...] = ()
    """Environment variables that may hold the key of such an endpoint."""
    signs_with_device = False
    """Whether a request is also signed with the device key of this machine."""
    unnamed_model = ""
    """Replaces the model where none can be named; empty where one must be named."""
    parallel_calls = False
    """Whether a request can say that one turn may have one tool call only."""
    own_members: frozenset[str] = OWN_MEMBERS
    """Members of the request body that target and scenario decide; ``body`` in a file may not hold them."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name in targets, events, JSON and ``--dialect``."""

    @property
    def websocket(self) -> bool:
        """Whether only a WebSocket carries it, and there is no HTTP request."""
        return self.transport in ("websocket", "gateway")

    @property
    def schemes(self) -> tuple[str, ...]:
        """The schemes that a base URL may have."""
        return WEBSOCKET_SCHEMES if self.websocket else HTTP_SCHEMES

    def transport_to(self, base_url: str) -> Transport:
        """What carries an attempt at a target with this base URL."""
        return self.transport

    def unsupported(self, target: Target, scenario: Scenario) -> str | None:
        """Why ``scenario`` cannot be sent to ``target``, in a sentence that says what to do; None if it can."""
        return None


class HttpDialect(Dialect, WireFormat):
    """A dialect of one HTTP request and one streamed answer."""

    base_path = ""
    """The end of base URLs of servers whose API is below a path (``/v1``)."""
    models_path: str | None = None
    """The path of the list of models, after the base URL; None if there is none."""

    @property
    def schemes(self) -> tuple[str, ...]:
        return HTTP_SCHEMES if self.socket() is None else (*HTTP_SCHEMES, *WEBSOCKET_SCHEMES)

    def transport_to(self, base_url: str) -> Transport:
        return "turns" if base_url.partition("://")[0] in WEBSOCKET_SCHEMES else self.transport

    def models_url(self, base_url: str) -> str | None:
        """The URL of the list of models; None if there is none."""
        return None if self.models_path is None else base_url + self.models_path

    def models_in(self, value: object) -> list[str] | None:
        """The ids in an answer to ``models_path``: ``{"data": [{"id": ...}]}`` or, as Together answers, the bare list.

        None if it is neither.
        """
        rows = value.get("data") if isinstance(value, dict) else value
        if not isinstance(rows, list):
            return None
        return [row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]

    @abstractmethod
    def request(self, target: Target, scenario: Scenario, messages: Sequence[PromptMessage]) -> WireRequest:
        """The request that sends ``messages`` to ``target`` with the tools and the output cap of ``scenario``.

        ``messages`` are separate from the scenario so that a nudge can extend them. ``target.body`` is merged last and
        takes precedence. Raises :class:`UsageError` for what is :meth:`unsupported`.
        """

    def unstreamed(self, request: WireRequest) -> WireRequest:
        """The same request for an answer in one JSON document, which :meth:`WireFormat.whole_answer` reads."""
        body = msgspec.json.decode(request.body)
        body.pop("stream_options", None)  # refused beside stream = false
        headers = request.headers | {"Accept": "application/json"}
        return structs.replace(request, headers=headers, body=msgspec.json.encode(body | {"stream": False}))


def error_member(value: object) -> object:
    """The member ``error`` if there is one, else ``value``: the envelope of most dialects."""
    return value.get("error", value) if isinstance(value, dict) else value


def messages_member(value: Mapping[str, Any]) -> Sequence[object]:
    """``system``, then ``messages``, else ``input`` or ``prompt`` as one user message."""
    system, prompt = value.get("system"), text(value.get("input")) or text(value.get("prompt"))
    return [
        *([{"role": "system", "content": system}] if isinstance(system, str | list) and system else []),
        *(items(value.get("messages")) or ([{"role": "user", "content": prompt}] if prompt else [])),
    ]


def ends_elsewhere(value: Mapping[str, Any]) -> bool:
    """Whether a request names a text to stop at, or one that the answer leads up to: then it may end anywhere."""
    inside = (members(value.get(name)) for name in ("options", "generationConfig", "inferenceConfig", "request"))
    return any(given.get(name) for given in (value, *inside) for name in _ENDS)


def named_tools(value: Mapping[str, Any]) -> Sequence[str]:
    """``name`` of each of ``tools``, or of its ``function`` or ``custom``, and of the older ``functions``."""
    offered = map(members, items(value.get("tools")) + items(value.get("functions")))
    return [text(members(tool.get("function") or tool.get("custom") or tool).get("name")) for tool in offered]


def carries_calls(scenario: Scenario) -> bool:
    """Whether the conversation of ``scenario`` holds tool calls or their results."""
    return any(message.tool_calls or message.role == "tool" for message in scenario.messages)


def cannot_carry(target: Target, scenario: Scenario) -> str:
    """The beginning of a sentence of :meth:`Dialect.unsupported`."""
    return f"scenario {scenario.name} cannot be carried by the {target.dialect} dialect"
