"""Whether a client may connect, and with which scopes, by the first request of its connection. No I/O.

Source: the auth matrix measured on both releases (token mode, loopback).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec
from msgspec import Struct

from kmon.openclaw.protocol.frames import GatewayError
from kmon.openclaw.simulated.options import GatewayOptions
from kmon.openclaw.simulated.releases import CLIENT_IDS, CLIENT_MODES, Release

POLICY_VIOLATION = 1008
PROTOCOL_ERROR = 1002


class ClientInfo(Struct, frozen=True):
    id: str
    version: str
    platform: str
    mode: str
    deviceFamily: str = ""  # noqa: N815 - the protocol's own spelling, here and below


class Credentials(Struct, frozen=True):
    """The secrets of a client. Its repr shows nothing."""

    token: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return "Credentials(...)"


class DeviceParams(Struct, frozen=True):
    id: str
    publicKey: str  # noqa: N815
    signature: str
    signedAt: int  # noqa: N815
    nonce: str = ""


class ConnectParams(Struct, frozen=True):
    minProtocol: int  # noqa: N815
    maxProtocol: int  # noqa: N815
    client: ClientInfo
    role: str = "operator"
    scopes: tuple[str, ...] = ()
    caps: tuple[str, ...] = ()
    auth: Credentials = Credentials()
    device: DeviceParams | None = None


def error_payload(error: GatewayError) -> dict[str, Any]:
    """An error as it is sent: only the members it has."""
    sent: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.details:
        sent["details"] = error.details
    if error.retryable:
        sent |= {"retryable": True, "retryAfterMs": error.retry_after_ms}
    return sent


class Admitted(Struct, frozen=True):
    """A client after its handshake."""

    client: ClientInfo
    role: str
    scopes: tuple[str, ...]
    caps: tuple[str, ...]
    device_id: str = ""


class Rejected(Struct, frozen=True):
    """Why a client is refused, and the close code of its connection."""

    error: GatewayError
    close_code: int = POLICY_VIOLATION


def judge(params: dict[str, Any], nonce: str, options: GatewayOptions) -> Admitted | Rejected:
    """Admit or refuse the client that answered the challenge ``nonce`` with ``params``."""
    release = options.release
    try:
        asked = msgspec.convert(params, ConnectParams)
    except msgspec.ValidationError as error:
        return _refused("INVALID_REQUEST", validation_message("connect", error))
    if not asked.minProtocol <= release.protocol <= asked.maxProtocol:
        details = {"code": "PROTOCOL_MISMATCH", "expectedProtocol": release.protocol, "minimumProbeProtocol": 3}
        return Rejected(GatewayError("INVALID_REQUEST", "protocol mismatch", details), PROTOCOL_ERROR)
    if asked.client.id not in CLIENT_IDS:
        return _refused("INVALID_REQUEST", "invalid connect params: at /client/id: must be equal to one of the list")
    if asked.client.mode not in CLIENT_MODES:
        return _refused("INVALID_REQUEST", "invalid connect params: at /client/mode: must be equal to one of the list")
    if asked.role not in ("operator", "node"):
        return _refused("INVALID_REQUEST", f"invalid role: {asked.role[:40]}")
    if (refused := _identity(asked, nonce, release) or _credentials(asked, options)) is not None:
        return refused
    scopes = () if asked.device is None and release.scopes_need_device else asked.scopes
    return Admitted(asked.client, asked.role, scopes, asked.caps, asked.device.id if asked.device else "")


def validation_message(method: str, error: msgspec.ValidationError) -> str:
    """The gateway's message for wrong parameters, made of msgspec's (``problem - at `$.place```)."""
    problem, _, place = str(error).replace("`", "").partition(" - at $.")
    return f"invalid {method} params: at /{place.replace('.', '/')}: {problem}"


def _credentials(asked: ConnectParams, options: GatewayOptions) -> Rejected | None:
    given, wanted = asked.auth, ((asked.auth.token, options.token), (asked.auth.password, options.password))
    if any(secret and hmac.compare_digest(sent.encode(), secret.encode()) for sent, secret in wanted):
        return None
    if given.token or given.password:
        what = "token" if given.token else "password"
        return _refused(
            "INVALID_REQUEST", f"unauthorized: gateway {what} mismatch", code=f"AUTH_{what.upper()}_MISMATCH"
        )
    if asked.device is None:
        return _refused("NOT_PAIRED", "device identity required", code="DEVICE_IDENTITY_REQUIRED")
    return _refused("INVALID_REQUEST", "unauthorized: gateway token missing", code="AUTH_TOKEN_MISSING")


def _identity(asked: ConnectParams, nonce: str, release: Release) -> Rejected | None:
    device = asked.device
    if device is None:
        if not release.scopes_need_device and asked.client.mode in ("ui", "webchat"):
            message = "control ui requires device identity"
            return _refused("NOT_PAIRED", message, code="CONTROL_UI_DEVICE_IDENTITY_REQUIRED")
        return None
    key = _unpadded(device.publicKey)
    if len(key) != 32 or hashlib.sha256(key).hexdigest() != device.id:
        return _refused("INVALID_REQUEST", "device identity mismatch", code="DEVICE_AUTH_DEVICE_ID_MISMATCH")
    if device.nonce != nonce:
        return _refused("INVALID_REQUEST", "device nonce mismatch", code="DEVICE_AUTH_NONCE_MISMATCH")
    if not any(_signed(asked, device, key, form) for form in release.signatures):
        return _refused("INVALID_REQUEST", "device signature invalid", code="DEVICE_AUTH_SIGNATURE_INVALID")
    return None


def _signed(asked: ConnectParams, device: DeviceParams, key: bytes, form: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    parts = [form, device.id, asked.client.id, asked.client.mode, asked.role, ",".join(asked.scopes)]
    parts += [str(device.signedAt), asked.auth.token, device.nonce]
    if form == "v3":
        parts += [asked.client.platform.lower(), asked.client.deviceFamily.lower()]
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(_unpadded(device.signature), "|".join(parts).encode())
    except InvalidSignature:
        return False
    return True


def _unpadded(text: str) -> bytes:
    """The bytes of base64url without padding; empty if the text is not valid."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""


def _refused(kind: str, message: str, *, code: str = "") -> Rejected:
    return Rejected(GatewayError(kind, message, {"code": code} if code else None))
