"""The rounds of an experiment whose next requests depend on what the last have shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from kmon.engine.plan import Row
from kmon.stats.outcome import RunOutcome
from kmon.stream.events import RunEnded

MUTE_ROUNDS = 3
"""After so many rounds in a row of which no request said anything, such as when all are rate-limited, it gives up."""
REFUSED = range(400, 429)
"""HTTP statuses that say that a changed request cannot be sent like this, not that it fails sometimes."""


class Sent(Struct, frozen=True):
    """One request of a round and its outcome; None while it is open."""

    label: str
    row: Row
    config: tuple[bool, ...]
    """What of the request is as reported, one entry per factor or part."""
    outcome: RunOutcome | None = None
    failed: bool | None = None
    """None: it says nothing."""


class Round(Struct, frozen=True):
    """The requests of a round, in the order in which they are sent. ``stage`` counts from 0."""

    number: int
    stage: int
    sent: tuple[Sent, ...]

    @property
    def over(self) -> bool:
        """Whether every request has ended."""
        return all(each.outcome is not None for each in self.sent)

    @property
    def mute(self) -> bool:
        """Whether no request said anything."""
        return all(each.failed is None for each in self.sent)


class Feeder(Protocol):
    """What decides which requests a race sends next."""

    stopped: bool
    """Whether its race is at its end, so that no more can be sent."""

    @property
    def over(self) -> bool:
        """Whether no more rounds are wanted."""
        ...

    def next_round(self) -> tuple[Row, ...]:
        """The rows to send together now; none while a round is open, and none when it is over."""
        ...

    def add(self, ended: RunEnded) -> None:
        """Add the end of a run. That of a retry changes nothing: it must not replace a failure."""
        ...


def sent_as(rounds: Sequence[Round], run: str) -> Sent | None:
    """The request of a run by its name (``r3.2``); None for a run that is of none of these rounds."""
    number, _, place = run.removeprefix("r").partition(".")
    if not (number.isdecimal() and place.isdecimal() and 1 <= int(number) <= len(rounds)):
        return None
    sent = rounds[int(number) - 1].sent
    return sent[int(place) - 1] if 1 <= int(place) <= len(sent) else None


def with_end(rounds: Sequence[Round], run: str, outcome: RunOutcome, failed: bool | None) -> Round:
    """The round of a run that :func:`sent_as` knows, with its outcome."""
    number, place = (int(part) for part in run.removeprefix("r").split("."))
    sent = list(rounds[number - 1].sent)
    sent[place - 1] = replace(sent[place - 1], outcome=outcome, failed=failed)
    return replace(rounds[number - 1], sent=tuple(sent))


def refusal_of(ended: RunEnded, outcome: RunOutcome) -> int | None:
    """The HTTP status with which the request itself was refused; None if it was not."""
    status = None if ended.error is None else ended.error.status
    return status if outcome.name == "http-error" and status is not None and status in REFUSED else None


def mute_reason(sent: Iterable[Sent]) -> str:
    """Why a round said nothing, by its commonest outcome."""
    names = [each.outcome.name for each in sent if each.outcome is not None]
    commonest = max(set(names), key=names.count)
    words = {
        "rate-limited": "all requests were rate-limited; wait, or send fewer with --spacing and --per-target 1",
        "not-asked": "no request could be sent from this machine",
        "disturbed": "this machine disturbed all requests",
        "http-error": "all changed requests were refused",
    }
    return words.get(commonest, "no request said anything")
