"""What other processes are there, and in which state (Linux)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path


def children(pid: int) -> list[int]:
    """Processes whose parent is ``pid``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def state(pid: int) -> str:
    """One letter: R and S run, T is stopped, Z is dead but not yet waited for; empty when it is gone."""
    try:
        os.kill(pid, 0)
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return ""


def all_gone(pids: Sequence[int], limit_s: float = 20.0) -> bool:
    """Whether all are dead within ``limit_s``."""
    return _soon(lambda: all(state(pid) in ("", "Z") for pid in pids), limit_s)


async def heard_of_all_ends() -> None:
    """Wait until asyncio knows that every child which is dead is: else it complains when its objects are collected."""
    while any(thread.name.startswith("waitpid-") for thread in threading.enumerate()):
        await asyncio.sleep(0.01)
    for _ in range(5):  # what the threads asked the loop to do, and what that asks it to do in turn
        await asyncio.sleep(0)


@contextlib.contextmanager
def offspring(pid: int, count: int) -> Iterator[list[int]]:
    """The ``count`` children of ``pid``; none of them outlives the test, even one that failed."""
    found = children(pid)
    with doomed(*found):
        assert len(found) == count
        yield found


@contextlib.contextmanager
def doomed(*pids: int) -> Iterator[None]:
    """Kill these at the end, whatever came before."""
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def stopped(pids: Sequence[int], limit_s: float = 20.0) -> bool:
    """Whether all are stopped within ``limit_s``."""
    return _soon(lambda: all(state(pid) == "T" for pid in pids), limit_s)


def _soon(wanted: Callable[[], bool], limit_s: float) -> bool:
    deadline_s = time.monotonic() + limit_s
    while not wanted() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return wanted()
