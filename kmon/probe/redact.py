"""Keys taken out of whatever comes back, even when one is split over two chunks."""

from __future__ import annotations

import re
from collections.abc import Sequence

REDACTED = "[key]"
SHORTEST_SECRET_CHARS = 8
"""Shorter values are no keys of anything; taking them out would tear up ordinary words."""
SHORTEST_START_CHARS = 8
"""From this length on, an end of a text with which a key begins is held back; fewer characters give no key away."""


PART_CHARS = 8
"""So many characters of a key in a row, past the prefix its kind shares, are no accident."""
WITHHELD = "[withheld: it holds a part of a key]"


class Redactor:
    """Takes ``secrets`` out of text. One per kind of text, since ``feed`` remembers how the last piece ended."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = sorted({s for s in secrets if len(s) >= SHORTEST_SECRET_CHARS}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, self._secrets))) if self._secrets else None
        self._parts = [s[at : at + PART_CHARS] for s in self._secrets for at in range(4, len(s) - PART_CHARS + 1)]
        self._shown = ""
        """The last characters that were let through: a key may have begun in them."""
        self._held = ""

    def whole(self, text: str) -> str:
        """``text``, which is complete in itself, without the secrets."""
        return text if self._pattern is None else self._pattern.sub(REDACTED, text)

    def evidence(self, frame: str) -> str:
        """A frame without the secrets; withheld altogether if it holds a part of one that was split over frames."""
        frame = self.whole(frame)
        return WITHHELD if any(part in frame for part in self._parts) else frame

    def feed(self, text: str) -> str:
        """The next piece of a text without the secrets.

        What looks like the beginning of one is held back until the piece after it has shown whether it is.
        """
        if self._pattern is None:
            return text
        joined, done = self._shown + self._held + text, len(self._shown)
        out = ""
        for found in self._pattern.finditer(joined):
            out += joined[done : max(done, found.start())] + REDACTED
            done = found.end()
        rest = joined[done:]
        self._held = rest[max(0, len(rest) - self._beginning(joined[done if out else 0 :])) :]
        out += rest[: len(rest) - len(self._held)]
        self._shown = (self._shown + out)[-(SHORTEST_START_CHARS - 1) :]
        return out

    def _beginning(self, text: str) -> int:
        """How much of the end of ``text`` is the beginning of a secret."""
        for secret in self._secrets:
            for size in range(min(len(secret) - 1, len(text)), SHORTEST_START_CHARS - 1, -1):
                if text.endswith(secret[:size]):
                    return size
        return 0
