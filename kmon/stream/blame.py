"""Which party causes a silence, as a value that events carry. ``kmon.blame.weigh`` determines it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Party = Literal["us", "client", "path", "provider", "unknown"]
Certainty = Literal["certain", "likely", "cannot tell"]

NEARER: dict[Party, str] = {"us": "us", "client": "the client"}
"""The parties on this side of the path, in words: a silence they cause is no fault of path or provider."""


class Blame(Struct, frozen=True):
    """Which party causes a silence. ``why`` is a few words, for a pane; ``evidence`` states the measured facts."""

    name: Party
    certainty: Certainty
    why: str
    evidence: str

    @property
    def brief(self) -> str:
        """``provider, likely: TCP answers, no data``."""
        if self.name == "unknown":
            return f"{self.certainty}: {self.why}"
        return f"{self.name}{', likely' if self.certainty == 'likely' else ''}: {self.why}"

    @property
    def own(self) -> bool:
        """Whether this program or its machine certainly causes the silence, which then says nothing about others."""
        return self.name == "us" and self.certainty == "certain"

    @property
    def nearer(self) -> str | None:
        """``us`` or ``the client``; None for the path, the provider or unknown."""
        return NEARER.get(self.name)
