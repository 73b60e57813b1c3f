"""The text of one run, said exactly once although the gateway sends it again and again, whole.

Agent and chat events carry the text so far (``text``, ``message``) and mostly the new piece too (``delta``,
``deltaText``; absent in some). A run that calls tools speaks in segments, and each begins anew: 2026.2 sends the last
one alone to the chat, 2026.9 joins them with a blank line.
"""

from __future__ import annotations

from dataclasses import dataclass, field

TEXT_LIMIT_CHARS = 1_000_000
"""How much of one answer is kept and passed on; a frame may be 25 MiB."""
BETWEEN_SEGMENTS = "\n\n"


@dataclass(slots=True)
class Answer:
    """What a run has said in its current try."""

    segments: list[str] = field(default_factory=list)
    discarded_chars: int = 0
    """Text the gateway took back when it tried again."""
    dropped_chars: int = 0

    @property
    def text(self) -> str:
        return BETWEEN_SEGMENTS.join(segment for segment in self.segments if segment)

    def add(self, whole: str | None, piece: str | None, *, replace: bool = False) -> str:
        """Take one event in; return what is new in it, to be appended to what was passed on before.

        ``whole`` is the text of the segment so far and ``piece`` the part that is new, either of them None where the
        event has none. With ``replace`` the segment is said anew, and all of it counts as new.
        """
        last = self.segments[-1] if self.segments else ""
        if replace:
            self.discarded_chars += len(last)
            self.segments[-1:] = [""]
            return self._append(whole or piece or "")
        if whole is None:
            return self._append(piece or "")
        if last and whole == piece and last != whole:  # all of it is new: another segment begins
            return self._begin(whole)
        if whole.startswith(last):
            return self._append(whole[len(last) :])
        if last.startswith(whole) or not whole:  # an older state, or what no longer fits
            return ""
        return self._begin(whole)

    def settle(self, final: str) -> str:
        """Take the text of the final message in; return what of it had not been said yet.

        A final that repeats what was said, or its last segment alone, adds nothing. Another text is the truth now.
        """
        said = self.text
        if not final or final == said or (self.segments and final == self.segments[-1]):
            return ""
        if final.startswith(said):
            missing = final[len(said) :]
            self.segments = [said]
            return self._append(missing)
        if said.endswith(final) or said.startswith(final[:TEXT_LIMIT_CHARS]):
            return ""
        self.discarded_chars += len(said)
        self.segments = []
        return self._append(final)

    def restart(self) -> None:
        """The gateway asks the model again: what was said does not count."""
        self.discarded_chars += len(self.text)
        self.segments.clear()

    def _begin(self, whole: str) -> str:
        self.segments.append("")
        return BETWEEN_SEGMENTS + self._append(whole)

    def _append(self, piece: str) -> str:
        room = max(0, TEXT_LIMIT_CHARS - sum(map(len, self.segments)))
        kept = piece[:room]
        self.dropped_chars += len(piece) - len(kept)
        if not self.segments:
            self.segments.append("")
        self.segments[-1] += kept
        return kept
