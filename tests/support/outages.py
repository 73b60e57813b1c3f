"""Failures as providers have them: outages that last several rounds, by seed."""

from collections.abc import Iterator
from random import Random


def outages(draw: Random, *, down: float, rounds: float, severity: float = 1.0) -> Iterator[bool]:
    """Whether each round fails, without end. The share ``down`` of time is in outages of ``rounds`` on average.

    Outages and the time between them are geometric, and begin in equilibrium; ``severity`` is the share of requests
    that fail in an outage.
    """
    ends, begins = 1 / rounds, down / (rounds * (1 - down))
    out = draw.random() < down
    while True:
        yield out and draw.random() < severity
        out = draw.random() >= ends if out else draw.random() < begins
