"""The pace of tokens: time to the first token, rate and jitter, like those of a real decode loop."""

from __future__ import annotations

from fnmatch import fnmatchcase
from random import Random
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

Seconds = Annotated[float, Meta(ge=0, le=3600)]


class Pace(Struct, frozen=True):
    """The pace of one provider and model. ``jitter`` is the sigma of the lognormal gaps between tokens."""

    ttft_s: float
    tokens_per_s: float
    jitter: float
    reasoning_tokens: int


class PaceChange(Struct, frozen=True, forbid_unknown_fields=True):
    """The members of a pace that a profile sets; None leaves a member unchanged."""

    ttft_s: Seconds | None = None
    tokens_per_s: Annotated[float, Meta(gt=0, le=100_000)] | None = None
    jitter: Annotated[float, Meta(ge=0, le=2)] | None = None
    reasoning_tokens: Annotated[int, Meta(ge=0, le=100_000)] | None = None

    def applied(self, pace: Pace) -> Pace:
        given = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        return replace(pace, **given)


def matches(pattern: str, provider: str, model: str) -> bool:
    """Whether a pace's name (``provider`` or ``provider/model``, with ``*``) is for this provider and model."""
    whole = f"{provider}/{model}".lower()
    return fnmatchcase(provider.lower(), pattern.lower()) or fnmatchcase(whole, pattern.lower())


def first_wait_s(pace: Pace, rng: Random) -> float:
    """Seconds to the first token, with a small random variation."""
    return pace.ttft_s * rng.lognormvariate(-0.02, 0.2)


def gaps_s(pace: Pace, count: int, rng: Random) -> list[float]:
    """``count`` gaps between tokens in seconds, lognormal, with mean ``1 / tokens_per_s``."""
    mean_s, sigma = 1 / pace.tokens_per_s, pace.jitter
    return [mean_s * rng.lognormvariate(-sigma * sigma / 2, sigma) for _ in range(count)]
