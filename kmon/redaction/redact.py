"""Removes keys from responses, in any form (``key_forms.py``), also when split over pieces and over fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kmon.redaction.key_forms import SPELT_LIMIT_CHARS, START_CHARS, Form, Place, forms_of, places

REDACTED = "[key]"
WITHHELD = "[withheld: it holds a part of a key]"
PREFIX_CHARS = 4
PART_CHARS = 8
"""So many consecutive characters of a key, after the prefix common to its kind, are no coincidence."""
SHOWN_LIMIT_CHARS = (START_CHARS - 1) * SPELT_LIMIT_CHARS
"""How many released characters of a field are kept, since a form may begin in them."""
TRAIL_LIMIT_CHARS = 1_024
"""How many characters of other fields are kept."""
FIELDS_LIMIT = 200
"""Fields that are kept apart; all further ones are treated as one."""


@dataclass(slots=True)
class _Track:
    """One field: the end of its released output, and the output held back after it."""

    shown: str = ""
    held: str = ""
    lost: bool = False
    """Whether the held output is part of a key that continued in another field."""


@dataclass(slots=True)
class _Trail:
    """The latest characters of several fields, in the order of arrival."""

    text: str = ""
    field: str = ""
    own_chars: int = 0
    """How many of the last characters came in ``field`` without another field in between."""

    def add(self, field: str, piece: str) -> None:
        self.own_chars = len(piece) + (self.own_chars if field == self.field else 0)
        self.field = field
        self.text = (self.text + piece)[-TRAIL_LIMIT_CHARS:]


class Redactor:
    """Removes ``secrets`` from all text of one exchange.

    :meth:`feed` takes output in pieces, by field (``text``, ``reasoning``, ...); :meth:`whole_field` takes whole
    strings, in the order of arrival. Both keep earlier text, so that a key which continues in another field is found.
    :meth:`whole` is for an independent text.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: tuple[str, ...] = ()
        self._forms: list[Form] = []
        self._parts: list[str] = []
        self._probes: list[str] = []
        """Shorter pieces of the keys, one in each part: fewer to search for."""
        self._tracks: dict[str, _Track] = {}
        self._output, self._all = _Trail(), _Trail()
        self._last_whole: dict[str, tuple[str, str]] = {}
        """The last string of a field and its redacted form, since most names come with every chunk."""
        self.split = False
        """Whether a key, or much of one, was split over the pieces since this was last set to False."""
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Remove these as well from now on."""
        new = tuple(dict.fromkeys(secret for secret in secrets if secret not in self._secrets))
        self._secrets += new
        self._forms += [form for secret in new for form in forms_of(secret)]
        for secret in new:
            folded = secret.lower()
            last = len(folded) - PART_CHARS
            self._parts += [folded[at : at + PART_CHARS] for at in range(PREFIX_CHARS, last + 1)]
            self._probes += [folded[at : at + 5] for at in range(PREFIX_CHARS, last + 4, 4)]

    def whole(self, text: str) -> str:
        """An independent text without keys."""
        return _without(text, self._keys(text)) if self._forms else text

    def evidence(self, frame: str) -> str:
        """A frame without keys; ``WITHHELD`` if it holds a part of a key that was split over frames."""
        frame = self.whole(frame)
        folded = frame.lower()
        if not any(probe in folded for probe in self._probes):
            return frame
        return WITHHELD if any(part in folded for part in self._parts) else frame

    def whole_field(self, field: str, text: str) -> str:
        """A whole string of ``field`` without keys and without the rest of a key that began before it."""
        if not self._forms or not text:
            return text
        before = self._last_whole.get(field)
        if before is not None and before[0] == text:
            return before[1]
        keys = self._keys(text)
        for trail in self._trails():
            if rest := self._rest_of_key(trail.text, text):
                keys.append((0, rest))
                self._mark_lost("")
        self._all.add("", text)
        kept = _without(text, keys)
        if len(text) <= TRAIL_LIMIT_CHARS and (field in self._last_whole or len(self._last_whole) < FIELDS_LIMIT):
            self._last_whole[field] = (text, kept)
        return kept

    def pair(self, first: str, second: str) -> tuple[str, str]:
        """Two whole texts without keys, also without one that is split between the two."""
        if not self._forms:
            return first, second
        keys, more = self._keys(first), self._keys(second)
        if rest := self._rest_of_key(second, first):
            keys.append((0, rest))
        if rest := self._rest_of_key(first, second):
            more.append((0, rest))
        self._all.add("", first)
        self._all.add("", second)
        return _without(first, keys), _without(second, more)

    def feed(self, field: str, piece: str) -> str:
        """The next piece of a field without keys.

        A possible beginning of a key is held back until the next piece decides.
        """
        if not self._forms or not piece:
            return piece
        field = field if field in self._tracks or len(self._tracks) < FIELDS_LIMIT else ""
        track = self._tracks.setdefault(field, _Track())
        before, done = track.shown + track.held, len(track.shown)
        joined = before + piece
        keys = [(done, len(before))] if track.lost else []
        track.lost = False
        held_from = len(joined)
        for place in places(joined, self._forms):
            if place.open:
                held_from = min(held_from, place.start)
                self.split = self.split or place.known >= PREFIX_CHARS + PART_CHARS
            elif place.stop > done:
                keys.append((place.start, place.stop))
                self.split = self.split or place.start < len(before)
        for trail in self._trails():
            own = trail.own_chars if trail.field == field else 0
            if own >= len(trail.text):
                continue  # the track of the field has searched all of it
            at = len(trail.text)
            for place in places(trail.text + piece, self._forms):
                if place.start >= at - own or place.stop <= at:
                    continue
                start = len(before) - min(own, len(before))
                if place.open:
                    held_from = min(held_from, start)
                else:
                    keys.append((start, len(before) + place.stop - at))
                    self._mark_lost(field)
                self.split = True
        self._output.add(field, piece)
        self._all.add(field, piece)
        return self._release(track, joined, keys, max(held_from, done))

    def rest(self) -> list[tuple[str, str]]:
        """The output still held back per field, at the end of the stream; most of a key counts as the key."""
        left = []
        for field, track in self._tracks.items():
            held, track.held = track.held, ""
            if held:
                left.append((field, REDACTED if track.lost else self.whole(held)))
        return left

    def _trails(self) -> list[_Trail]:
        return [self._all] if self._all.text == self._output.text else [self._output, self._all]

    def _release(self, track: _Track, joined: str, keys: list[tuple[int, int]], held_from: int) -> str:
        done = len(track.shown)
        if not keys and held_from == len(joined):
            track.shown, track.held = joined[-SHOWN_LIMIT_CHARS:], ""
            return joined[done:]
        held_from = max([held_from, *(stop for start, stop in keys if start < held_from < stop)])
        track.lost = any(start >= held_from for start, _ in keys)
        keys = [key for key in keys if key[0] < held_from]
        out, end = "", done
        for start, stop in _merged(keys):
            if stop > end:
                out += joined[end:start] + REDACTED
                end = stop
        out += joined[end:held_from]
        track.held = joined[held_from:]
        track.shown = joined[max(end if keys else 0, held_from - SHOWN_LIMIT_CHARS) : held_from]
        return out

    def _mark_lost(self, but: str) -> None:
        for field, track in self._tracks.items():
            track.lost = track.lost or (field != but and bool(track.held))

    def _rest_of_key(self, before: str, text: str) -> int:
        """How many of the first characters of ``text`` complete a key that began in ``before``."""
        before = before[-TRAIL_LIMIT_CHARS:]
        at = len(before)
        found = places(before + text[:TRAIL_LIMIT_CHARS], self._forms)
        return max((p.stop - at for p in found if p.start < at < p.stop and _is_key(p)), default=0)

    def _keys(self, text: str) -> list[tuple[int, int]]:
        return [(place.start, place.stop) for place in places(text, self._forms) if _is_key(place)]


def redaction(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that removes ``secrets`` from an independent text."""
    return Redactor(secrets).whole


def _is_key(place: Place) -> bool:
    return place.certain or (place.open and place.most)


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans in order, overlapping ones merged."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _without(text: str, keys: Sequence[tuple[int, int]]) -> str:
    out, end = "", 0
    for start, stop in _merged(keys):
        out += text[end:start] + REDACTED
        end = stop
    return out + text[end:] if keys else text
