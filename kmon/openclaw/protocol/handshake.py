"""The first frames of a connection: challenge, ``connect``, ``hello-ok``. Sans-IO: frames in, the next frame out.

Both releases accept the range 3 to 4; each answers with the protocol it speaks. ``client.id`` is a closed list on the
gateway's side, so kmon says its name where names are free: ``displayName`` and ``instanceId``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from kmon import __version__
from kmon.dialects.bounds import MESSAGE_LIMIT_CHARS, NAME_LIMIT_CHARS, bounded
from kmon.dialects.delta import StreamError
from kmon.dialects.json_access import count, items, members, text
from kmon.dialects.text import clean
from kmon.openclaw.protocol.device import Asked, Device
from kmon.openclaw.protocol.frames import Frame, GatewayError, GatewayEvent, Request, Response

PROTOCOLS = (3, 4)
CLIENT_ID, CLIENT_MODE, ROLE = "cli", "cli", "operator"
READ, WRITE = "operator.read", "operator.write"
DEFAULT_TICK_MS = 30_000
LONGEST_TICK_MS = 600_000
"""A gateway may not make its own silence look like life for longer than this."""
DEFAULT_PAYLOAD_BYTES = 25 * 1024 * 1024
LARGEST_PAYLOAD_BYTES = 64 * 1024 * 1024
"""More than this is never read, whatever the gateway allows itself."""


class Access(Struct, frozen=True):
    """How to be let in: a token or a password. Its repr shows neither."""

    token: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Access({'token' if self.token else 'password' if self.password else 'nothing'})"


class Hello(Struct, frozen=True):
    """What the gateway said when it let us in."""

    protocol: int
    server: str
    """Its version; 2026.2 says ``dev``."""
    scopes: tuple[str, ...] | None
    """What it allows; None where it does not say."""
    tick_ms: int
    max_payload_bytes: int
    methods: tuple[str, ...]
    default_session: str


class TryAgain(Struct, frozen=True):
    """The gateway is starting: connect again after ``wait_ms``."""

    wait_ms: float
    why: str


class Refused(Struct, frozen=True):
    """The gateway does not let us in; the error says why and what to do."""

    error: StreamError


def is_hello(response: Response) -> bool:
    """Whether a response is the one that let us in."""
    return members(response.payload).get("type") == "hello-ok"


Step = Request | Hello | TryAgain | Refused


class Handshake:
    """One handshake. Feed it frames until it gives a :class:`Hello`, :class:`TryAgain` or :class:`Refused`."""

    def __init__(self, access: Access, scopes: tuple[str, ...], device: Callable[[], Device]) -> None:
        self._access, self._scopes, self._device = access, scopes, device
        self._id = ""

    def feed(self, frame: Frame) -> Step | None:
        """The next step, or None while there is nothing to do."""
        match frame:
            case GatewayEvent(event="connect.challenge") if not self._id:
                nonce, ts = text(frame.payload.get("nonce")), count(frame.payload.get("ts"))
                if not nonce or ts is None:
                    return _refused("handshake", "the gateway's challenge has no nonce or no time")
                return self._connect(nonce, ts)
            case Response() if self._id and frame.id == self._id:
                return self._answered(frame)
            case Request():
                return _refused("handshake", "the other side sends requests: it is no gateway")
        return None

    def _connect(self, nonce: str, ts: int) -> Request:
        self._id = "connect"
        asked = Asked(CLIENT_ID, CLIENT_MODE, ROLE, self._scopes, ts, self._access.token, nonce)
        params: dict[str, Any] = {
            "minProtocol": PROTOCOLS[0],
            "maxProtocol": PROTOCOLS[1],
            "client": {
                "id": CLIENT_ID,
                "mode": CLIENT_MODE,
                "version": __version__,
                "platform": sys.platform,
                "displayName": "kmon",
                "instanceId": "kmon",
            },
            "role": ROLE,
            "scopes": list(self._scopes),
            "caps": ["tool-events"],
            "locale": "en-US",
            "userAgent": f"kmon/{__version__}",
            "device": self._device().signed(asked),
        }
        if self._access.token:
            params["auth"] = {"token": self._access.token}
        elif self._access.password:
            params["auth"] = {"password": self._access.password}
        return Request(self._id, "connect", params)

    def _answered(self, response: Response) -> Step:
        if not response.ok:
            return refusal(response.error or GatewayError("UNKNOWN"))
        hello = members(response.payload)
        protocol = count(hello.get("protocol"))
        if hello.get("type") != "hello-ok" or protocol is None:
            return _refused("handshake", "the gateway answered connect with something else than hello-ok")
        if not PROTOCOLS[0] <= protocol <= PROTOCOLS[1]:
            return _refused("handshake", f"the gateway chose protocol {protocol}; kmon speaks 3 and 4")
        auth, policy = members(hello.get("auth")), members(hello.get("policy"))
        scopes = tuple(text(scope) for scope in items(auth.get("scopes"))) if "scopes" in auth else None
        if scopes is not None and (missing := [scope for scope in self._scopes if scope not in scopes]):
            return _refused(
                "auth", f"the gateway let kmon in without {' and '.join(missing)}; approve its device there"
            )
        defaults = members(members(hello.get("snapshot")).get("sessionDefaults"))
        return Hello(
            protocol,
            bounded(clean(text(members(hello.get("server")).get("version"))), NAME_LIMIT_CHARS),
            scopes,
            min(_positive(policy.get("tickIntervalMs"), DEFAULT_TICK_MS), LONGEST_TICK_MS),
            min(_positive(policy.get("maxPayload"), DEFAULT_PAYLOAD_BYTES), LARGEST_PAYLOAD_BYTES),
            tuple(text(method) for method in items(members(hello.get("features")).get("methods"))),
            text(defaults.get("mainSessionKey")),
        )


_ADVICE = {
    "AUTH_TOKEN_MISMATCH": "the gateway refuses the token; put the one it uses into OPENCLAW_GATEWAY_TOKEN",
    "AUTH_TOKEN_MISSING": "the gateway wants a token; put it into OPENCLAW_GATEWAY_TOKEN",
    "AUTH_PASSWORD_MISMATCH": "the gateway refuses the password; correct OPENCLAW_GATEWAY_PASSWORD",
    "AUTH_PASSWORD_MISSING": "the gateway wants a password; put it into OPENCLAW_GATEWAY_PASSWORD",
    "NOT_PAIRED": "the gateway does not know this device yet; approve it there with 'openclaw devices approve'",
    "PAIRING_REQUIRED": "the gateway does not know this device yet; approve it there with 'openclaw devices approve'",
    "DEVICE_IDENTITY_REQUIRED": "the gateway wants a token besides the device; put it into OPENCLAW_GATEWAY_TOKEN",
    "CONTROL_UI_DEVICE_IDENTITY_REQUIRED": "the gateway wants a device identity of its own interface; use a token",
    "PROTOCOL_MISMATCH": "the gateway speaks another protocol than 3 or 4; use a kmon and a gateway of one age",
    "UNAUTHORIZED": "the gateway does not let kmon in; set OPENCLAW_GATEWAY_TOKEN or OPENCLAW_GATEWAY_PASSWORD",
}
_PHRASES = (
    ("token mismatch", "AUTH_TOKEN_MISMATCH"),
    ("token missing", "AUTH_TOKEN_MISSING"),
    ("password mismatch", "AUTH_PASSWORD_MISMATCH"),
    ("password missing", "AUTH_PASSWORD_MISSING"),
    ("pairing required", "PAIRING_REQUIRED"),
    ("protocol mismatch", "PROTOCOL_MISMATCH"),
    ("unauthorized", "UNAUTHORIZED"),
)


def refusal(error: GatewayError) -> TryAgain | Refused:
    """What a refused ``connect`` means. The reason is in ``code``, in ``details``, or only in the words of 2026.2."""
    details = error.details or {}
    said = bounded(clean(error.message), MESSAGE_LIMIT_CHARS)
    codes = [text(details.get("code")), text(details.get("reason")), error.code]
    codes += [code for phrase, code in _PHRASES if phrase in said.lower()]
    if error.code == "UNAVAILABLE":
        wait_ms = error.retry_after_ms if error.retry_after_ms is not None else count(details.get("retryAfterMs"))
        return TryAgain(min(max(float(wait_ms or 500), 50.0), 30_000.0), said or "the gateway is starting")
    known = next((code for code in codes if code in _ADVICE), None)
    if known is None:
        why = said or bounded(clean(error.code), NAME_LIMIT_CHARS)
        return _refused("auth", f"the gateway refuses to connect: {why}", error.code)
    expected = count(details.get("expectedProtocol"))
    more = f" (it expects {expected})" if known == "PROTOCOL_MISMATCH" and expected is not None else ""
    return _refused("protocol" if known == "PROTOCOL_MISMATCH" else "auth", _ADVICE[known] + more, known)


def _refused(kind: str, sentence: str, code: str | None = None) -> Refused:
    return Refused(StreamError(kind, sentence, code=code))


def _positive(value: object, default: int) -> int:
    number = count(value)
    return number if number is not None and number > 0 else default
