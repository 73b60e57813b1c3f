"""Removes characters from outside text that could control a terminal.

Removed: C0 controls except newline and tab, DEL, C1 controls, bidi marks, overrides and isolates, lone surrogates.
U+2028 and U+2029 become newlines. Everything else is kept, also markup and the rest of escape sequences, which without
ESC are plain text.
"""

from __future__ import annotations

import re

_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]",
)
_SEPARATORS = {"\u2028": "\n", "\u2029": "\n"}


class Cleaner:
    """Cleans one text that comes in pieces; joins a surrogate pair that was split."""

    __slots__ = ("_high",)

    def __init__(self) -> None:
        self._high = ""

    def feed(self, text: str) -> str:
        """The clean text of the next piece. A high surrogate at its end is held until the next piece."""
        if self._high:
            text, self._high = self._high + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._high = text[:-1], text[-1]
        return clean(text)


def clean(text: str) -> str:
    """``text`` without the forbidden characters; clean text is returned unchanged."""
    if _UNSAFE.search(text) is None:
        return text
    return _UNSAFE.sub(_replacement, _joined(text))


def mended(text: str) -> str:
    """``text`` with split surrogate pairs joined and lone surrogates replaced by U+FFFD, so that it can be encoded."""
    if text.isascii():
        return text
    return _joined(text).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _joined(text: str) -> str:
    return _PAIR.sub(lambda pair: pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le"), text)


def _replacement(found: re.Match[str]) -> str:
    return _SEPARATORS.get(found[0], "")
