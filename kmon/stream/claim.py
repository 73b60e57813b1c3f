"""The status line that a watched chat program shows for a run, as a value."""

from __future__ import annotations

from msgspec import Struct


class Claim(Struct, frozen=True):
    """A status line in its parts. ``busy`` is true while the program shows that it is working."""

    activity: str
    connection: str = ""
    busy: bool = False

    @property
    def standing(self) -> str:
        """The line without its running seconds: ``running | connected`` when busy, ``connected | idle`` when not."""
        if not self.connection:
            return self.activity
        return f"{self.activity} | {self.connection}" if self.busy else f"{self.connection} | {self.activity}"

    def line(self, busy_s: int) -> str:
        """The line after ``busy_s`` whole seconds of this activity: ``running • 41s | connected``."""
        if not (self.busy and self.connection):
            return self.standing
        return f"{self.activity} • {elapsed(busy_s)} | {self.connection}"


def elapsed(seconds: int) -> str:
    """Seconds as chat programs write them: ``41s``, ``2m 5s``."""
    return f"{seconds}s" if seconds < 60 else f"{seconds // 60}m {seconds % 60}s"
