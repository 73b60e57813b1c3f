"""What a race of many small rounds costs, window by window, and when it is over: CPU and memory of each process.

``python -m tests.bench.long_race`` runs the real kmon on a real pseudo-terminal over its own engine and simulator;
``--front board`` runs ``kmon test``, ``--front json`` the headless ``kmon run``. CPU is utime + stime of the process in
/proc, so this is for Linux. A window's figures are of that window alone: the last beside an early one tells whether
the cost grows with the rounds done. ``--idle S`` measures for so long once the race is over.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COLUMNS, LINES = 120, 40
SETTLE_S = 5.0
"""After the last round, before idling is measured: toasts must have gone."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_ENDED = {"panes": re.compile(rb"\xe2\x9c\x94 (\d+) "), "board": re.compile(rb"\xe2\x9c\x94 (\d+) ")}
_WORDS = {"kmon.hosts": "engine", "kmon.simulator": "simulator"}


@dataclass(frozen=True)
class Cost:
    """What a process has used so far, and what it holds."""

    cpu_s: float
    rss_kb: int


def cost_of(pid: int) -> Cost:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Cost((int(fields[11]) + int(fields[12])) / TICKS_PER_S, pages * os.sysconf("SC_PAGE_SIZE") // 1024)


def processes(front: int) -> dict[str, int]:
    """The front end and the children it has, by what they are."""
    found = {"front end": front}
    for pid in Path(f"/proc/{front}/task/{front}/children").read_text().split():
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        found |= {name: int(pid) for word, name in _WORDS.items() if word in command}
    return found


class Front:
    """kmon as it runs, and how many runs it says have ended."""

    def __init__(self, front: str, rounds: int, speed: float, target: str) -> None:
        shared = ["--demo", target, "--count", str(rounds), "--speed", str(speed), "--profile", "smooth"]
        self._front = front
        if front == "json":
            arguments, (self._out, child) = ["run", "--json", *shared, "--scenario", "minimal"], os.pipe()
        else:
            given = ["test", *shared, "--per-target", "100"] if front == "board" else [*shared, "--scenario", "minimal"]
            arguments, (self._out, child) = given, pty.openpty()
            fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kmon", *arguments],
            stdin=subprocess.DEVNULL if front == "json" else child,
            stdout=child,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            start_new_session=True,
        )
        os.close(child)
        self.ended = 0
        self.drawn_bytes = 0
        self._tail = b""

    def read(self, wait_s: float) -> bool:
        """Take what it wrote; False when it has ended."""
        if not select.select([self._out], [], [], wait_s)[0]:
            return True
        try:
            data = os.read(self._out, 1 << 20)
        except OSError:
            return False
        self.drawn_bytes += len(data)
        data = self._tail + data
        if self._front == "json":
            self.ended += data.count(b'{"type":"run_ended"')
            self._tail = data[-18:] if b'{"type":"run_ended"' not in data[-18:] else b""
        else:
            told = [int(number) for number in _ENDED[self._front].findall(data)]
            self.ended = max([self.ended, *told])
            self._tail = data[-64:]
        return bool(data)


def windows(front: Front, rounds: int, window: int) -> Iterator[str]:
    """A line per window of rounds."""
    at, reached = time.monotonic(), 0
    known = {"front end": front.process.pid}
    before = {name: cost_of(pid) for name, pid in known.items()}
    while front.read(1.0) and reached < rounds:
        if front.ended < min(rounds, reached + window):
            continue
        now, known = time.monotonic(), processes(front.process.pid)
        costs = {name: cost_of(pid) for name, pid in known.items()}
        done, took_s = front.ended - reached, now - at
        told = [f"to {front.ended:>6}  {done / took_s:6.1f} rounds/s"]
        for name, cost in costs.items():
            used_s = cost.cpu_s - before.get(name, Cost(0.0, 0)).cpu_s
            told.append(
                f"{name} {used_s / took_s:6.1%} {used_s / done * 1000:6.2f} ms/round {cost.rss_kb / 1024:6.1f} MB"
            )
        yield "   ".join(told)
        at, reached, before = now, front.ended, costs


def idle(front: Front, long_s: float) -> str:
    """What each process uses while nothing happens."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        front.read(0.1)
    known, front.drawn_bytes, at = processes(front.process.pid), 0, time.monotonic()
    before = {name: cost_of(pid) for name, pid in known.items()}
    while time.monotonic() < at + long_s:
        front.read(0.5)
    took_s = time.monotonic() - at
    used = {name: (cost_of(pid).cpu_s - before[name].cpu_s) / took_s for name, pid in known.items()}
    shares = ", ".join(f"{name} {share:.2%}" for name, share in used.items())
    return f"over, {took_s:.0f} s: {shares}; {front.drawn_bytes} bytes drawn"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--front", choices=("panes", "board", "json"), default="panes")
    parser.add_argument("--rounds", type=int, default=2_000)
    parser.add_argument("--window", type=int, default=250)
    parser.add_argument("--speed", type=float, default=20.0, help="of the simulator: how fast rounds follow")
    parser.add_argument("--target", default="together")
    parser.add_argument("--idle", type=float, default=60.0, metavar="S")
    given = parser.parse_args()
    front = Front(given.front, given.rounds, given.speed, given.target)
    try:
        for line in windows(front, given.rounds, given.window):
            print(line, flush=True)
        if given.front != "json":
            print(idle(front, given.idle), flush=True)
    finally:
        front.process.terminate()
        while front.process.poll() is None:
            front.read(0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
