"""Handles the signals that ask kmon to end (SIGINT, SIGTERM, SIGHUP).

There are three phases. At first a signal raises KeyboardInterrupt, and the exit code is 130. While a command uses
:func:`handle_interrupts`, the command decides. Once the exit code is known, signals are ignored.

kmon imports this module first, because signals are not handled before; so it imports little (asyncio takes 40 ms).
"""

from __future__ import annotations

import signal
from contextlib import contextmanager

TYPE_CHECKING = False  # typing's own would be one more import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INTERRUPTED = 130
"""The exit code of a command that a signal ended before it was done."""
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def raise_on_interrupts() -> None:
    """Make each signal raise KeyboardInterrupt in the main thread."""
    for number in _handled_signals():
        signal.signal(number, signal.default_int_handler)


def ignore_interrupts() -> None:
    """Ignore the signals: the interpreter takes some milliseconds to end, and the exit code must not change."""
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def handle_interrupts(act: Callable[[int], object], *also: signal.Signals) -> Iterator[None]:
    """Call ``act`` with the number of each signal, on the running event loop; restore the handlers at the end."""
    import asyncio

    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (*_handled_signals(), *also)}
    for number in before:
        loop.add_signal_handler(number, act, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _handled_signals() -> list[signal.Signals]:
    """All signals, without SIGHUP if it was ignored when kmon started (``nohup``)."""
    return [n for n in INTERRUPTS if n != signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN]
