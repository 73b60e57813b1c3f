"""Finds a key in a text, in every form that a person can decode by eye or with one command.

Found: the key as it is, in any case of letters, and reversed; base64 (both alphabets, each of the three alignments,
so inside ``base64("Bearer KEY")`` too, wrapped or not); hex; and each of these with any of its characters written
as a percent escape (also of an escape), a JSON or ``\\x`` escape or an HTML number, or with blanks, line ends, quotes,
commas, brackets, markup or any character outside ASCII between them. Not found: what needs a program to decode
(ciphers, compression, base64 of base64).

Texts are read as bytes, so that a chunk costs a few microseconds: three readings (below), each searched for the first
eight characters of each form. Only where one is found is anything compared character by character.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, compress
from typing import NamedTuple

SHORTEST_SECRET_CHARS = 8
"""Shorter values are no keys; removing them would damage ordinary words."""
START_CHARS = 8
"""The first characters of a form, by which it is searched; fewer do not reveal a key."""
LOOSE_LEAST_CHARS = 16
"""A shorter key is found only without characters in between: ``to get her`` is not the password ``together``."""
CERTAIN_LEAST_CHARS = 16
"""At least so many first characters of a form, and more than half of it, count as the form: the rest was cut off."""
SPELT_LIMIT_CHARS = 16
"""Most characters of a text that may represent one character of a form, on average."""
UNDONE_TIMES = 2
"""How many levels of escaping are decoded."""

_FOLD = bytes.maketrans(bytes(range(65, 91)), bytes(range(97, 123)))
_URLSAFE = bytes.maketrans(b"-_", b"+/")
_BETWEEN = bytes({*range(33), *b"*`~\"',;:|<>()[]{}#\\", *range(127, 256)})
_IS_KEPT = bytes(byte not in _BETWEEN for byte in range(256))
_IS_FIRST = bytes(byte & 0xC0 != 0x80 for byte in range(256))
"""1 for every byte that begins a UTF-8 character, else 0."""
_ESCAPE = re.compile(
    r"%(?:25){0,4}([0-9a-fA-F]{2})|\\{1,8}(?:u00|x)([0-9a-fA-F]{2})"
    r"|&#0{0,6}([0-9]{2,3});?|&#[xX]0{0,6}([0-9a-fA-F]{2});?|\\{1,8}([nrt])"
)  # bounded repeats: an unbounded one takes minutes for a megabyte of backslashes
_CUT_ESCAPE = re.compile(r"(?:%(?:25){0,4}2?[0-9a-fA-F]?|\\{1,8}(?:u0{0,2}|x)?[0-9a-fA-F]?|&#?[xX]?[0-9a-fA-F]{0,8})\Z")
_CUT_ESCAPE_CHARS = 24
_BLOCK_CHARS = 16_384

EXACT, LOOSE, BASE64 = range(3)
"""The readings of a text: lower case; lower case without separators; base64 in one alphabet without separators."""


class Form(NamedTuple):
    """``needle`` is searched in one reading. Its first ``certain`` characters count as the whole."""

    reading: int
    needle: bytes
    start: bytes
    certain: int


class Place(NamedTuple):
    """Position of a form in a text, in characters. The first ``known`` characters of the form are there.

    ``certain``: it counts as the key. ``open``: it reaches the end of the text and may continue; if nothing follows, it
    is the key if ``most`` of it is there.
    """

    start: int
    stop: int
    known: int
    certain: bool
    open: bool
    most: bool


def forms_of(secret: str) -> list[Form]:
    """All forms of one key; none for a value shorter than ``SHORTEST_SECRET_CHARS``."""
    if len(secret) < SHORTEST_SECRET_CHARS:
        return []
    raw = secret.encode("utf-8", "surrogatepass")
    loose = raw.translate(_FOLD, _BETWEEN)
    found = [(LOOSE, raw.hex().encode())]
    if secret.isascii() and len(loose) >= LOOSE_LEAST_CHARS:
        found += [(LOOSE, loose), (LOOSE, loose[::-1])]
    else:
        spelt = {secret, secret.upper(), secret.lower(), secret.casefold(), raw.decode("latin-1")}
        spelt |= {one[::-1] for one in spelt}
        found += [(EXACT, one.encode("utf-8", "surrogatepass").translate(_FOLD)) for one in sorted(spelt)]
    for lead in range(3):  # only the characters that depend on the key alone, for each alignment
        whole = base64.b64encode(bytes(lead) + raw)
        found.append((BASE64, whole[(0, 2, 3)[lead] : (lead + len(raw)) * 8 // 6].translate(_URLSAFE)))
    return [Form(reading, one, one[:START_CHARS], _certain(len(one))) for reading, one in dict.fromkeys(found)]


def _certain(chars: int) -> int:
    return max(CERTAIN_LEAST_CHARS, chars // 2 + 1) if chars >= 3 * START_CHARS else chars


def reach_chars(forms: Iterable[Form]) -> int:
    """The most characters of a text that the longest of ``forms`` may take."""
    return max((len(form.needle) for form in forms), default=0) * SPELT_LIMIT_CHARS


def places(text: str, forms: Sequence[Form]) -> Iterator[Place]:
    """Every place of one of ``forms`` in ``text``, or of one that begins at its end; unordered, may overlap."""
    if len(text) <= _BLOCK_CHARS:
        yield from _places(text, forms)
        return
    overlap = reach_chars(forms)
    for at in range(0, len(text), _BLOCK_CHARS):
        block = text[at : at + _BLOCK_CHARS + overlap]
        last = at + len(block) == len(text)
        for place in _places(block, forms):
            if last or place.certain:
                yield place._replace(start=at + place.start, stop=at + place.stop, open=place.open and last)


def _places(text: str, forms: Sequence[Form]) -> Iterator[Place]:
    for spelling in _spellings(text):
        for form in forms:
            reading = spelling.readings[form.reading]
            at = reading.find(form.start)
            while at >= 0:
                known = _common(reading, at, form.needle)
                ends = known < len(form.needle) and spelling.ends(form.reading, at + known)
                if ends or known >= form.certain:
                    start, stop = spelling.span(form.reading, at, at + known)
                    ends = ends and len(text) - start <= (known + 2) * SPELT_LIMIT_CHARS
                    if ends or known >= form.certain:
                        most = 4 * known >= 3 * len(form.needle)
                        yield Place(start, stop, known, known >= form.certain, ends, most)
                at = reading.find(form.start, at + 1)


def _common(reading: bytes, at: int, needle: bytes) -> int:
    """How many of the first characters of ``needle`` are at ``at``."""
    there = reading[at : at + len(needle)]
    if there == needle:
        return len(needle)
    return next((n for n, (a, b) in enumerate(zip(there, needle, strict=False)) if a != b), len(there))


class _Spelling:
    """A text with escapes decoded ``times`` times, in three readings, with the origin of each byte on request."""

    def __init__(self, text: str, undone: str, times: int) -> None:
        self._text, self._undone, self._times = text, undone, times
        self._bytes = undone.encode("utf-8", "surrogatepass")
        self.readings = _readings(self._bytes)
        self._edges: Sequence[int] = ()
        self._characters: dict[int, Sequence[int]] = {}

    def ends(self, reading: int, at: int) -> bool:
        """Whether a reading ends at ``at``, or only an incomplete escape follows."""
        left = len(self.readings[reading]) - at
        if left == 0 or left > _CUT_ESCAPE_CHARS:
            return left == 0
        cut = _CUT_ESCAPE.search(self._undone[-_CUT_ESCAPE_CHARS:])
        return cut is not None and left == len(_readings(cut[0].encode())[reading])

    def span(self, reading: int, start: int, stop: int) -> tuple[int, int]:
        """The characters of the text that the bytes ``start`` to ``stop`` of a reading come from."""
        if not self._edges:
            self._edges = _edges(self._text, self._times)
        characters = self._characters.get(reading)
        if characters is None:
            characters = self._characters[reading] = self._characters_of(reading)
        return self._edges[characters[start]], self._edges[characters[stop - 1] + 1]

    def _characters_of(self, reading: int) -> Sequence[int]:
        """For each byte of a reading, the index of its character in the decoded text."""
        of_bytes: Sequence[int] = range(len(self._undone))
        if not self._undone.isascii():
            of_bytes = list(accumulate(self._bytes.translate(_IS_FIRST), initial=-1))[1:]
        if reading == EXACT:
            return of_bytes
        return list(compress(of_bytes, self._bytes.translate(_IS_KEPT)))


def _readings(data: bytes) -> tuple[bytes, bytes, bytes]:
    return data.translate(_FOLD), data.translate(_FOLD, _BETWEEN), data.translate(_URLSAFE, _BETWEEN)


def _spellings(text: str) -> Iterator[_Spelling]:
    """The text itself, with its escapes decoded, and with the escapes in that decoded again."""
    yield _Spelling(text, text, 0)
    undone = text
    for times in range(1, UNDONE_TIMES + 1):
        if not ("%" in undone or "\\" in undone or "&" in undone):
            return
        before, undone = undone, _ESCAPE.sub(_meant, undone)
        if undone == before:
            return
        yield _Spelling(text, undone, times)


def _edges(text: str, times: int) -> Sequence[int]:
    """For each character after decoding its start in ``text``; then the end of the text."""
    edges: Sequence[int] = range(len(text) + 1)
    for _ in range(times):
        starts, parts, done = list[int](), list[str](), 0
        for found in _ESCAPE.finditer(text):
            starts += edges[done : found.start() + 1]
            parts += text[done : found.start()], _meant(found)
            done = found.end()
        edges, text = [*starts, *edges[done:]], "".join(parts) + text[done:]
    return edges


def _meant(found: re.Match[str]) -> str:
    percent, escaped, decimal, hexadecimal, letter = found.groups()
    if letter:
        return " "
    return chr(int(decimal) if decimal else int(percent or escaped or hexadecimal, 16))
