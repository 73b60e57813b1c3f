"""The signals that ask kmon to end, and what they do from its first moment to its last.

Three phases: until a command listens they raise KeyboardInterrupt, which ends it with exit code 130; while it listens
it decides itself; and once its exit code is known they change nothing any more.

This is the first thing that kmon imports, before it can be interrupted in an orderly way: asyncio alone takes 40 ms.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager

TYPE_CHECKING = False  # typing's own would be one more import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INTERRUPTED = 130
"""The exit code of a command that was told to stop before it was done."""
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def raise_on_interrupts() -> None:
    """Have each raise KeyboardInterrupt from now on, in the main thread."""
    for number in _heeded():
        signal.signal(number, signal.default_int_handler)


def ignore_interrupts() -> None:
    """Have none do anything from now on: the interpreter itself takes some milliseconds to end."""
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def heeding(act: Callable[[int], object], *also: signal.Signals) -> Iterator[None]:
    """Call ``act`` with the number of each that comes, on the running event loop; then let all be as it was before."""
    import asyncio

    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (*_heeded(), *also)}
    for number in before:
        loop.add_signal_handler(number, act, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _heeded() -> list[signal.Signals]:
    """All but a hang-up that was ignored when kmon was started: ``nohup`` means it."""
    return [n for n in INTERRUPTS if n != signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN]
