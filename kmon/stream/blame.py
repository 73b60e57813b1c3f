"""Whose a silence is, as a value that events carry. How it is found out is the matter of ``kmon.blame.weigh``."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Party = Literal["us", "client", "path", "provider", "unknown"]
Certainty = Literal["certain", "likely", "cannot tell"]

NEARER: dict[Party, str] = {"us": "us", "client": "the client"}
"""The parties nearer than path and provider, in words: a silence of theirs is no fault of anything beyond them."""


class Blame(Struct, frozen=True):
    """Whose silence it is, in words a support engineer would accept. ``why`` is a few words, for a pane."""

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
        """Whether the silence is certainly this program's or its machine's: it says nothing about any other party."""
        return self.name == "us" and self.certainty == "certain"

    @property
    def nearer(self) -> str | None:
        """``us`` or ``the client``; None where it is the path, the provider, or nobody knows."""
        return NEARER.get(self.name)
