"""Whether each address of a host takes a TCP connection, and how fast."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from msgspec import Struct

from kmon.doctor.dns import family_of
from kmon.doctor.mtu import Segments, segments_of
from kmon.doctor.repeat import five
from kmon.transport.connect import Address, connect_first
from kmon.transport.errors import stream_error


class Touch(Struct, frozen=True):
    """One connection, opened and closed. ``timed_out`` tells silence from a refusal, which keeps nobody waiting."""

    duration_ms: float
    error: str | None = None
    timed_out: bool = False
    segments: Segments | None = None


class Reach(Struct, frozen=True):
    """What came of connecting to one address."""

    ip: str
    family: str
    touches: tuple[Touch, ...]

    @property
    def connects(self) -> bool:
        """Whether it worked at least once."""
        return any(touch.error is None for touch in self.touches)

    @property
    def timed_out(self) -> bool:
        """Whether it never worked and kept the caller waiting."""
        return not self.connects and any(touch.timed_out for touch in self.touches)

    @property
    def error(self) -> str | None:
        """The last failure, if there was any."""
        return next((touch.error for touch in reversed(self.touches) if touch.error), None)

    @property
    def segments(self) -> Segments | None:
        """Of the last connection that came about."""
        return next((touch.segments for touch in reversed(self.touches) if touch.segments), None)


async def reach_all(addresses: Sequence[Address], limit_s: float) -> tuple[Reach, ...]:
    """Connect to every address, all of them at once, each five times."""
    return tuple(await asyncio.gather(*(_reach(address, limit_s) for address in addresses)))


async def _reach(address: Address, limit_s: float) -> Reach:
    return Reach(str(address[4][0]), family_of(address), await five(lambda: _touch(address, limit_s)))


async def _touch(address: Address, limit_s: float) -> Touch:
    start_ns = time.monotonic_ns()
    try:
        async with asyncio.timeout(limit_s):
            sock = await connect_first([address], None)
    except TimeoutError as error:
        own = error.errno is None  # else it is the kernel that gave up
        words = f"no answer within {limit_s:g} s" if own else "no answer until the system gave up"
        return Touch(_since_ms(start_ns), words, timed_out=True)
    except OSError as error:
        return Touch(_since_ms(start_ns), stream_error(error).message)
    with sock:
        return Touch(_since_ms(start_ns), segments=segments_of(sock))


def _since_ms(start_ns: int) -> float:
    return (time.monotonic_ns() - start_ns) / 1e6
