"""What the doctor reports of this machine: proxy variables, and running, stray and zombie processes of chat programs.

Processes are read from ``/proc`` on Linux, else from ``ps``, which does not show sessions that have ended. Nothing is
changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from subprocess import SubprocessError
from typing import Literal

from msgspec import Struct

from kmon.catalog.toml_source import TomlSource
from kmon.dialects.text import clean
from kmon.process import spawn
from kmon.transport.proxy import shown

State = Literal["running", "sleeping", "stopped", "zombie", "waiting for a disk"]
PROGRAMS = ("openclaw", "openclaw-tui", "opencode", "claude", "codex", "kimi", "goose", "aider")
"""Programs looked for by default."""
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
PROXY_LIMIT_CHARS = 200
COMM_LIMIT_CHARS = 15
"""Length of a program's name in the kernel (``TASK_COMM_LEN`` - 1); a zombie has no other name."""
PS_LIMIT_S = 5.0
_STATES: dict[str, State] = {"R": "running", "S": "sleeping", "I": "sleeping", "T": "stopped", "t": "stopped",
                             "Z": "zombie", "D": "waiting for a disk", "U": "waiting for a disk"}  # fmt: skip
_INTERPRETERS = ("node", "nodejs", "bun", "deno", "python", "ruby", "uv")
_FIRST_PTS_MAJOR, _LAST_PTS_MAJOR = 136, 143


class Process(Struct, frozen=True):
    """One process. ``running_s`` is the time since its start (s); ``tty`` is None if it has no terminal."""

    pid: int
    program: str
    state: State
    running_s: float
    tty: str | None
    parent: int
    left_behind: bool
    """Whether its terminal is closed or the leader of its session has ended."""

    @property
    def orphaned(self) -> bool:
        """Whether it outlived its terminal or session. A service has no terminal, but leads its own session."""
        return self.state != "zombie" and (self.left_behind or (self.parent == 1 and self.tty is not None))

    @property
    def trouble(self) -> str | None:
        """A sentence on what is wrong with it; None if nothing is."""
        if self.state == "zombie":
            return f"it has ended, but its parent {self.parent} never asked how"
        if self.orphaned:
            return "stray: the terminal or session it was started in is gone"
        return "it holds its connections and reads nothing" if self.state == "stopped" else None


def programs(sources: Sequence[TomlSource]) -> tuple[str, ...]:
    """The programs to look for: ``[doctor] programs`` of the last file that has it, else ``PROGRAMS``.

    Raises :class:`UsageError` for values that are no program names.
    """
    names = PROGRAMS
    for source in sources:
        table = source.table.get("doctor", {})
        if not isinstance(table, dict):
            raise source.error(("doctor",), "must be a table; write [doctor]")
        for key in table:
            if key != "programs":
                raise source.unknown(("doctor", key), ["programs"])
        if "programs" in table:
            given = table["programs"]
            if not isinstance(given, list) or not all(_is_name(name) for name in given):
                raise source.error(("doctor", "programs"), "must be a list of program names without their directory")
            names = tuple(given)
    return names


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name) and name.isprintable() and "/" not in name


def proxy_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The proxy variables of ``environ``, without users and passwords, by name as written."""
    found = {}
    for name, value in environ.items():
        if name.lower() in PROXY_VARIABLES and value.strip():
            found[name] = clean(value if name.lower() == "no_proxy" else shown_proxy(value))[:PROXY_LIMIT_CHARS]
    return dict(sorted(found.items()))


def shown_proxy(proxy: str) -> str:
    """A proxy's URL without user, password and control characters; a fixed text if it is no URL."""
    try:
        return clean(shown(proxy if "://" in proxy else f"http://{proxy}") or "")
    except ValueError:
        return "(not a URL)"


def processes(names: Sequence[str]) -> tuple[Process, ...] | None:
    """The processes of these programs, ordered by pid; None if the system does not list processes."""
    if sys.platform == "linux":
        return tuple(_of_linux(names, Path("/proc")))
    try:
        output = spawn.output_of(["ps", "-axo", "pid=,ppid=,state=,tty=,etime=,comm="], PS_LIMIT_S, os.environ)
    except (OSError, SubprocessError):
        return None
    return tuple(of_ps(names, output.splitlines()))


def program_of(comm: str, arguments: Sequence[str], names: Sequence[str]) -> str | None:
    """Which of ``names`` a process is, by its command, the script of its interpreter, or its ``comm``; None if none."""
    words = [PurePath(word).name for word in arguments[:2]]
    named = words[:2] if words and words[0].rstrip("0123456789.") in _INTERPRETERS else words[:1]
    scripts = {name for word in named for name in (word, PurePath(word).stem)}
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
            continue  # it has ended in the meantime
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
    """Whether the leader of a session has ended; False if other processes are hidden (mount option ``hidepid``)."""
    return session != "0" and (proc / "1").exists() and not (proc / session).exists()


def _terminal_deleted(entry: Path) -> bool:
    """Whether its stdin is a closed terminal; False for processes of other users, whose files cannot be read."""
    try:
        link = str((entry / "fd" / "0").readlink())
    except OSError:
        return False
    return link.startswith("/dev/pts/") and link.endswith("(deleted)")


def terminal_name(number: int) -> str | None:
    """``pts/3`` or ``tty1`` for a device number of ``/proc/PID/stat``; None for 0 (no terminal)."""
    major, minor = (number >> 8) & 0xFFF, (number & 0xFF) | ((number >> 12) & 0xFFF00)
    if number == 0:
        return None
    if _FIRST_PTS_MAJOR <= major <= _LAST_PTS_MAJOR:
        return f"pts/{minor + 256 * (major - _FIRST_PTS_MAJOR)}"
    return f"tty{minor}" if major == 4 else f"terminal {major}:{minor}"


def of_ps(names: Sequence[str], lines: Iterable[str]) -> Iterator[Process]:
    """Processes from the output of ``ps -axo pid=,ppid=,state=,tty=,etime=,comm=``."""
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
    """Seconds of ``[[days-]hours:]minutes:seconds``; 0 for any other text."""
    days, dash, clock = text.rpartition("-")
    try:
        total = float(days) * 86_400 if dash else 0.0
        for part, unit_s in zip(reversed(clock.split(":")), (1, 60, 3600), strict=False):
            total += float(part) * unit_s
    except ValueError:
        return 0.0
    return total
