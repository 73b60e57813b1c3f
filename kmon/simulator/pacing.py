"""How fast tokens come: time to the first, rate, and jitter that looks like a real decode loop."""

from __future__ import annotations

from fnmatch import fnmatchcase
from random import Random
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

Seconds = Annotated[float, Meta(ge=0, le=3600)]


class Pace(Struct, frozen=True):
    """The tempo of one provider and model. ``jitter`` is the sigma of the lognormal around the mean gap."""

    ttft_s: float
    tokens_per_s: float
    jitter: float
    reasoning_tokens: int


class PaceChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Members of a pace that a profile sets; None leaves what was there."""

    ttft_s: Seconds | None = None
    tokens_per_s: Annotated[float, Meta(gt=0, le=100_000)] | None = None
    jitter: Annotated[float, Meta(ge=0, le=2)] | None = None
    reasoning_tokens: Annotated[int, Meta(ge=0, le=100_000)] | None = None

    def applied(self, pace: Pace) -> Pace:
        given = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        return replace(pace, **given)


def matches(pattern: str, provider: str, model: str) -> bool:
    """Whether a pace's name (``provider`` or ``provider/model``, with ``*``) covers this provider and model."""
    whole = f"{provider}/{model}".lower()
    return fnmatchcase(provider.lower(), pattern.lower()) or fnmatchcase(whole, pattern.lower())


def first_wait_s(pace: Pace, rng: Random) -> float:
    """Seconds to the first token, varied a little from request to request."""
    return pace.ttft_s * rng.lognormvariate(-0.02, 0.2)


def gaps_s(pace: Pace, count: int, rng: Random) -> list[float]:
    """``count`` gaps between tokens in seconds, lognormal, with mean ``1 / tokens_per_s``."""
    mean_s, sigma = 1 / pace.tokens_per_s, pace.jitter
    return [mean_s * rng.lognormvariate(-sigma * sigma / 2, sigma) for _ in range(count)]
