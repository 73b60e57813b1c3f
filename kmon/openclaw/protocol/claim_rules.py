"""What differs between the releases of the gateway's terminal client in how its status line moves."""

from __future__ import annotations

from msgspec import Struct


class ClaimRules(Struct, frozen=True):
    """The rules of one release. Sources: its own code (2026.2.17) and its screen as recorded (both)."""

    release: str
    typed_is_active: bool
    """A message becomes the active run when it is typed (2026.2), or waits to be one until its run shows (2026.9)."""
    starting_up: bool
    """Subscribes to session events after the handshake and says so."""
    finishing: bool
    """Shows ``finishing context`` between the model's end and the run's."""
    error_grace_ns: int
    """How long a run's error is held back, since the gateway may try again."""
    watchdog_ns: int | None
    """After how long a silence of a streaming run the client says that it takes longer than expected."""


CLAIM_2026_2 = ClaimRules(
    "2026.2", typed_is_active=True, starting_up=False, finishing=False, error_grace_ns=0, watchdog_ns=None
)
CLAIM_2026_9 = ClaimRules(
    "2026.9",
    typed_is_active=False,
    starting_up=True,
    finishing=True,
    error_grace_ns=15_000_000_000,
    watchdog_ns=30_000_000_000,
)

WATCHDOG_LINE = "This response is taking longer than expected. Still waiting for the current run."


def rules_of(protocol: int) -> ClaimRules:
    """The client that speaks this protocol."""
    return CLAIM_2026_2 if protocol and protocol < 4 else CLAIM_2026_9
