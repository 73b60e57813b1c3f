"""Running, stray and zombie processes of known chat programs. It only looks: a report of stuck TUIs began with those.

Linux tells it in ``/proc``; elsewhere ``ps`` is asked, which knows the same but for sessions that are gone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from subprocess import SubprocessError
from typing import Literal

from msgspec import Struct

from kmon.dialects.text import clean
from kmon.process import spawn

State = Literal["running", "sleeping", "stopped", "zombie", "waiting for a disk"]
COMM_LIMIT_CHARS = 15
"""The kernel keeps no more of a program's name, and of a zombie nothing else."""
PS_LIMIT_S = 5.0
_STATES: dict[str, State] = {"R": "running", "S": "sleeping", "I": "sleeping", "T": "stopped", "t": "stopped",
                             "Z": "zombie", "D": "waiting for a disk", "U": "waiting for a disk"}  # fmt: skip
_INTERPRETERS = ("node", "nodejs", "bun", "deno", "python", "ruby", "uv")
_FIRST_PTS_MAJOR, _LAST_PTS_MAJOR = 136, 143


class Process(Struct, frozen=True):
    """One process. ``running_s`` is how long ago it was started; ``tty`` None means that it has no terminal."""

    pid: int
    program: str
    state: State
    running_s: float
    tty: str | None
    parent: int
    left_behind: bool
    """Its terminal, or the session it was started in, is gone."""

    @property
    def orphaned(self) -> bool:
        """Whether it outlived what it was started from. A service has no terminal either, but a session of its own."""
        return self.state != "zombie" and (self.left_behind or (self.parent == 1 and self.tty is not None))

    @property
    def trouble(self) -> str | None:
        """Why it deserves a look, or None if it does not."""
        if self.state == "zombie":
            return f"it has ended, but its parent {self.parent} never asked how"
        if self.orphaned:
            return "stray: the terminal or session it was started in is gone"
        return "it holds its connections and reads nothing" if self.state == "stopped" else None


def processes(names: Sequence[str]) -> tuple[Process, ...] | None:
    """The processes of these programs by pid; None where the system does not tell."""
    if sys.platform == "linux":
        return tuple(_of_linux(names, Path("/proc")))
    try:
        said = spawn.output_of(["ps", "-axo", "pid=,ppid=,state=,tty=,etime=,comm="], PS_LIMIT_S, os.environ)
    except (OSError, SubprocessError):
        return None
    return tuple(of_ps(names, said.splitlines()))


def program_of(comm: str, arguments: Sequence[str], names: Sequence[str]) -> str | None:
    """Which of ``names`` a process is: by the kernel's name for it, its command, or the script an interpreter runs."""
    words = [PurePath(word).name for word in arguments[:2]]
    said = words[:2] if words and words[0].rstrip("0123456789.") in _INTERPRETERS else words[:1]
    scripts = {name for word in said for name in (word, PurePath(word).stem)}
    by_comm = next((name for name in names if comm and comm == name[:COMM_LIMIT_CHARS]), None)
    return next((name for name in names if name in scripts), by_comm)


def _of_linux(names: Sequence[str], proc: Path) -> Iterator[Process]:
    ticks_s = 1.0 / os.sysconf("SC_CLK_TCK")
    uptime_s = float((proc / "uptime").read_text().split()[0])
    for entry in sorted((path for path in proc.iterdir() if path.name.isdigit()), key=lambda path: int(path.name)):
        try:
            stat = (entry / "stat").read_text(errors="replace")
            arguments = (entry / "cmdline").read_text(errors="replace").split("\0")
        except OSError:
            continue  # it ended meanwhile
        comm = stat[stat.index("(") + 1 : stat.rindex(")")]
        program = program_of(comm, arguments, names)
        if program is None:
            continue
        state, parent, _, session, tty, *rest = stat[stat.rindex(")") + 1 :].split()
        yield Process(
            pid=int(entry.name),
            program=program,
            state=_STATES.get(state, "running"),
            running_s=max(0.0, uptime_s - int(rest[14]) * ticks_s),
            tty=terminal_name(int(tty)),
            parent=int(parent),
            left_behind=_session_gone(proc, session) or _terminal_deleted(entry),
        )


def _session_gone(proc: Path, session: str) -> bool:
    """Whether the leader of a session has ended. Where processes are hidden (hidepid), its absence says nothing."""
    return session != "0" and (proc / "1").exists() and not (proc / session).exists()


def _terminal_deleted(entry: Path) -> bool:
    """Whether the process still reads from a terminal that was closed; unknown, thus no, for other users' processes."""
    try:
        link = str((entry / "fd" / "0").readlink())
    except OSError:
        return False
    return link.startswith("/dev/pts/") and link.endswith("(deleted)")


def terminal_name(number: int) -> str | None:
    """``pts/3`` or ``tty1`` for a device number of ``/proc/PID/stat``; None for 0, which is none."""
    major, minor = (number >> 8) & 0xFFF, (number & 0xFF) | ((number >> 12) & 0xFFF00)
    if number == 0:
        return None
    if _FIRST_PTS_MAJOR <= major <= _LAST_PTS_MAJOR:
        return f"pts/{minor + 256 * (major - _FIRST_PTS_MAJOR)}"
    return f"tty{minor}" if major == 4 else f"terminal {major}:{minor}"


def of_ps(names: Sequence[str], lines: Iterable[str]) -> Iterator[Process]:
    """Processes of ``ps -axo pid=,ppid=,state=,tty=,etime=,comm=``."""
    for line in lines:
        fields = line.split(None, 5)
        if len(fields) < 6 or not fields[0].isdigit():
            continue
        pid, parent, state, tty, elapsed, command = fields
        program = program_of("", [command.strip()], names)
        if program is not None:
            terminal = None if tty in ("?", "??", "-") else clean(tty)
            started_s = elapsed_s(elapsed)
            yield Process(int(pid), program, _STATES.get(state[:1], "running"), started_s, terminal, int(parent), False)


def elapsed_s(text: str) -> float:
    """Seconds of ``[[days-]hours:]minutes:seconds``; 0 for what is none."""
    days, dash, clock = text.rpartition("-")
    try:
        total = float(days) * 86_400 if dash else 0.0
        for part, unit_s in zip(reversed(clock.split(":")), (1, 60, 3600), strict=False):
            total += float(part) * unit_s
    except ValueError:
        return 0.0
    return total
