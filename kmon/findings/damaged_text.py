"""Finds text that was damaged on its way: characters decoded wrongly, floods of white space.

Pure. Every check prefers to miss a fault over reporting one in a healthy answer.
"""

from __future__ import annotations

import re

REPLACED_CHARS = 2
"""So many replacement characters are a fault; one may be half an emoji at a token's edge, or talked about."""
MISREAD_PAIRS = 2
BLANK_CHARS = 300
"""No indentation, table or verse has so much white space in a row."""
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_MISREAD = re.compile(
    r"[ÂÃ][\u0080-\u00bf]|â€[\u0080-\u00bf\u2018-\u2122œžŸ¦]|ðŸ[\u0080-\u00bf\u2018-\u201dŸž]|Ã[ƒ„…†‡ˆ‰Š‹Œ]"
)
"""UTF-8 that was read as Latin-1 or Windows-1252."""
_BLANKS = re.compile(rf"\s{{{BLANK_CHARS},}}")


def garbled(text: str) -> str | None:
    """How ``text`` shows that characters were decoded wrongly, as words; None if it does not."""
    if (count := text.count(_REPLACEMENT)) >= REPLACED_CHARS:
        return f"{count} characters could not be decoded and became U+FFFD"
    pairs = _MISREAD.findall(text)
    if len(pairs) >= MISREAD_PAIRS:
        return f"UTF-8 was read as Latin-1 {len(pairs)} times ({pairs[0]!r})"
    return None


def blank_flood(text: str) -> int | None:
    """The length in characters of a run of white space that is no layout; None if there is none."""
    found = _BLANKS.search(text)
    return None if found is None else found.end() - found.start()
