"""A device identity: an Ed25519 key by which a gateway recognises this client, and what it signs. No I/O.

The v2 signature is used because both releases accept it; 2026.2 refuses v3. 2026.2 gives no scopes to a client without
a device, so one is always sent.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEED_BYTES = 32


class SignedFields(Struct, frozen=True):
    """The fields of a ``connect`` that the signature covers; ``nonce`` is that of the challenge."""

    client_id: str
    client_mode: str
    role: str
    scopes: tuple[str, ...]
    signed_at_ms: int
    token: str
    nonce: str

    def payload(self, device_id: str) -> str:
        """The text that is signed."""
        return "|".join(
            (
                "v2", device_id, self.client_id, self.client_mode, self.role, ",".join(self.scopes),
                str(self.signed_at_ms), self.token, self.nonce,
            )
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"SignedFields({self.client_id}, {self.role})"


class Device:
    """A device made of its 32 secret bytes, which its repr does not show. Imports ``cryptography``."""

    def __init__(self, seed: bytes) -> None:
        """Raises ValueError unless there are 32 bytes."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key: Ed25519PrivateKey = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._key.public_key().public_bytes_raw()
        self.id = hashlib.sha256(self._public).hexdigest()

    def signed(self, fields: SignedFields) -> dict[str, Any]:
        """The ``device`` member of a ``connect`` request."""
        return {
            "id": self.id,
            "publicKey": _base64url(self._public),
            "signature": _base64url(self._key.sign(fields.payload(self.id).encode())),
            "signedAt": fields.signed_at_ms,
            "nonce": fields.nonce,
        }

    def __repr__(self) -> str:
        return f"Device({self.id[:8]})"


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
