"""Which party causes a silence, as a value that events carry. ``kmon.blame.weigh`` determines it.

``beyond`` is the far end of the TCP connection or whatever lies behind it: that cannot be told apart from here.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Party = Literal["us", "client", "path", "beyond", "provider", "unknown"]
Certainty = Literal["certain", "likely", "cannot tell"]

NEARER: dict[Party, str] = {"us": "us", "client": "the client"}
"""The parties on this side of the path, in words: a silence they cause is no fault of path or provider."""


class Blame(Struct, frozen=True):
    """Which party causes a silence. ``why`` is a few words, for a pane; ``evidence`` states the measured facts.

    ``peer`` is the address at which TCP answers, where a silence comes from beyond it: ``1.2.3.4``, ``[2001:db8::1]``,
    on this machine with its port; empty for any other party. ``why`` then says what may be silent.
    """

    name: Party
    certainty: Certainty
    why: str
    evidence: str
    peer: str = ""

    @property
    def brief(self) -> str:
        """``path, likely: no TCP answer``, ``beyond 1.2.3.4: provider or a relay``; 70 columns at most."""
        if self.name == "unknown":
            return f"{self.certainty}: {self.why}"
        if self.name == "beyond":
            return f"beyond {self.peer or 'the TCP peer'}: {self.why}"
        return f"{self.name}{', likely' if self.certainty == 'likely' else ''}: {self.why}"

    @property
    def own(self) -> bool:
        """Whether this program or its machine certainly causes the silence, which then says nothing about others."""
        return self.name == "us" and self.certainty == "certain"

    @property
    def nearer(self) -> str | None:
        """``us`` or ``the client``; None for any other."""
        return NEARER.get(self.name)
