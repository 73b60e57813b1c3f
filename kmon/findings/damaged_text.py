"""Finds text that was damaged on its way: characters decoded wrongly, tokens never decoded, floods of white space.

Pure. Every check prefers to miss a fault over reporting one in a healthy answer.
"""

from __future__ import annotations

import codecs
import re
from itertools import islice

REPLACED_CHARS = 2
"""So many replacement characters are a fault; one may be half an emoji at a token's edge, or talked about."""
MISREAD_PAIRS = 2
BLANK_CHARS = 300
"""No indentation, table or verse has so much white space in a row."""
RUNS_LIMIT = 500
"""Runs of characters outside of ASCII that are looked at."""
TOKEN_MARKS = 3
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_MISREAD = re.compile(
    r"[ÂÃ][\u0080-\u00bf]|[ÄÅ][\u0080-\u00aa\u00ac-\u00ba\u00bc-\u00bf‚ƒ„†‡ˆ‰Š‹ŒŽšžœ›]|â€[\u0080-\u00bf\u2018-\u2122œžŸ¦]"
    r"|ðŸ[\u0080-\u00bf\u2018-\u201d‚ƒ„…†‡ˆ‰Š‹ŒŽ•–—˜™š›œžŸ]|Ã[ƒ„…†‡ˆ‰Š‹Œ]|‚Ä[ôúùîìû¶]|√[©†®ß™≥±°º∂§´]|├[ñóúéáíüäöâàåçêëèïîìÄÅÉæÆ£]"
)
"""Single letters of UTF-8 that was read as Latin-1, Windows-1252, Mac Roman or DOS: pairs that no language writes."""
_RUN = re.compile(r"[^\x00-\x7f\ufffd]{4,}")
_WINDOWS = {ord(bytes([byte]).decode("cp1252", "replace")): byte for byte in range(0x80, 0xA0)}
"""The characters that Windows-1252 has where Latin-1 has control characters, to their bytes."""
_SINGLE_BYTE = ("cp1251", "mac-roman", "cp437")
_DOUBLE_BYTE = ("gbk", "shift_jis", "big5")
_CJK = 0x2E80
_QUOTED = re.compile(r"`[^`\n]{1,40}`|[\"'“‘«][^\"'”’»\n]{1,12}[\"'”’»]")
_SPECIAL_TOKEN = re.compile(r"<[|｜][^<>\n]{1,60}[|｜]>")
_BYTE_TOKENS = re.compile(r"(?:<0x[0-9A-F]{2}>){2,}")
_SPACE_TOKEN = re.compile(r"[a-z0-9.,;:!?]Ġ(?=\w)|\w▁(?=\w)")
_BLANKS = re.compile(rf"\s{{{BLANK_CHARS},}}")


def garbled(text: str) -> str | None:
    """How ``text`` shows that characters were decoded wrongly, as words; None if it does not."""
    if text.isascii():
        return _undecoded(text) if "<0x" in text else None
    if (count := text.count(_REPLACEMENT)) >= REPLACED_CHARS:
        return f"{count} characters could not be decoded and became U+FFFD"
    pairs = _MISREAD.findall(_QUOTED.sub(" ", text))
    if len(pairs) >= MISREAD_PAIRS:
        return f"UTF-8 was read in another encoding {len(pairs)} times ({pairs[0]!r})"
    for run in islice(_RUN.finditer(text), RUNS_LIMIT):
        if (meant := _misread(run[0])) is not None:
            return f"UTF-8 was read as {meant[1]}: {run[0][:20]!r} stands for {meant[0][:20]!r}"
    return _undecoded(text)


def _misread(run: str) -> tuple[str, str] | None:
    """What a run of characters was before it was misread, and the encoding it was read in; None for honest text.

    An honest run is no UTF-8 in the bytes of another encoding; two characters or more that are, are no coincidence.
    Chinese and Japanese in their own encodings can be by chance, but then as two-byte letters of other scripts.
    """
    for encoding in ("latin-1", *_SINGLE_BYTE, *_DOUBLE_BYTE):
        try:
            data = (run.translate(_WINDOWS) if encoding == "latin-1" else run).encode(encoding)
            meant, _ = codecs.utf_8_decode(data, "strict", encoding not in _DOUBLE_BYTE)  # the end may be half a pair
        except UnicodeError:
            continue
        if len(meant) > 1 and (encoding not in _DOUBLE_BYTE or all(ord(char) >= _CJK for char in meant)):
            return meant, encoding
    return None


def _undecoded(text: str) -> str | None:
    """Whether the tokenizer's own spelling of bytes and spaces came as text."""
    if (found := _BYTE_TOKENS.search(text)) is not None:
        return f"bytes of tokens came as words ({found[0][:24]})"
    marks = _SPACE_TOKEN.findall(_SPECIAL_TOKEN.sub(" ", text)) if "Ġ" in text or "▁" in text else []
    if len(marks) >= TOKEN_MARKS:
        return f"tokens came undecoded: {marks[0][-1]!r} stands for a space {len(marks)} times"
    return None


def blank_flood(text: str) -> int | None:
    """The length in characters of a run of white space that is no layout; None if there is none."""
    found = _BLANKS.search(text)
    return None if found is None else found.end() - found.start()
