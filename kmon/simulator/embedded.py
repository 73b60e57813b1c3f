"""The simulator in a process of its own, so that it does not disturb what is measured."""

from __future__ import annotations

import asyncio
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from kmon.catalog.errors import UsageError

START_LIMIT_S = 20.0
STOP_LIMIT_S = 3.0
ERROR_LIMIT_BYTES = 2_000

_PASSED = frozenset({"PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV"})
_PASSED_PREFIXES = ("PYTHON", "LC_", "LD_", "DYLD_")


class SimulatorError(Exception):
    """The simulator's process did not start; the message holds what it said on stderr."""


class Embedded:
    """A simulator in a child process: ``with Embedded.running(...)`` or ``async with Embedded(...)``.

    The child ends with the context, and by itself when this process dies in any way. Entering raises
    :class:`UsageError` for options it refuses and :class:`SimulatorError` when it does not come up. ``replay`` are
    recordings to serve as well (see ``replay.py``), ``fault`` is one for every request, and ``places`` are to be open
    beside those that the profile sends anybody to (see ``places.py``).
    """

    def __init__(
        self,
        profile: str = "smooth",
        *,
        speed: float = 1.0,
        seed: int = 1,
        replay: Sequence[str | Path] = (),
        as_recorded: bool = False,
        fault: str = "",
        places: Sequence[str] = (),
    ) -> None:
        files = [f"--replay={file}" for file in replay]
        flags = ["--as-recorded"] if as_recorded else []
        asked = [f"--profile={profile}", f"--speed={speed!r}", f"--seed={seed}", f"--fault={fault}"]
        self._arguments = [*asked, *(f"--place={name}" for name in places), *files, *flags]
        self.port = 0
        self.origins: dict[str, str] = {}
        """Of the places that are open, by name (see ``places.py``)."""
        self.authority_pem = ""
        """Who vouches for the certificate of the place ``tls``; empty where that is not open."""
        self._places: list[tuple[str, str]] = []

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def origin_for(self, provider: str) -> str:
        """Where the profile has a client go that imitates talking to ``provider``: here, or to a place."""
        for pattern, name in self._places:
            if fnmatchcase(provider.lower(), pattern.lower()):
                return self.origins[name]
        return self.origin

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def base_url(self, provider: str) -> str:
        """What a client that imitates talking to ``provider`` is aimed at."""
        return f"{self.origin}/{provider}/v1"

    @classmethod
    @contextmanager
    def running(
        cls,
        profile: str = "smooth",
        *,
        speed: float = 1.0,
        seed: int = 1,
        replay: Sequence[str | Path] = (),
        as_recorded: bool = False,
        fault: str = "",
        places: Sequence[str] = (),
    ) -> Iterator[Embedded]:
        """The same for callers without an event loop."""
        embedded = cls(
            profile, speed=speed, seed=seed, replay=replay, as_recorded=as_recorded, fault=fault, places=places
        )
        embedded._start()
        try:
            yield embedded
        finally:
            embedded._stop()

    async def __aenter__(self) -> Embedded:
        await asyncio.to_thread(self._start)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self._stop)

    def _start(self) -> None:
        with tempfile.TemporaryFile() as complaints:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "kmon.simulator", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env=_environment(),
                start_new_session=True,  # a Ctrl-C in the terminal is for its parent
            )
            try:
                ready = json.loads(self._ready_line())
                self.port, self.origins, self.authority_pem = int(ready["port"]), ready["origins"], ready["authority"]
                self._places = [(pattern, name) for pattern, name in ready["places"]]
            except ValueError:
                self._stop()
                complaints.seek(0)
                said = complaints.read(ERROR_LIMIT_BYTES).decode("utf-8", "replace").strip()
                if self._process.returncode == 2:
                    raise UsageError(said) from None
                raise SimulatorError(f"the simulator did not start: {said or 'it said nothing'}") from None
            except BaseException:
                self._stop()
                raise

    def _ready_line(self) -> bytes:
        """What the child says first; empty when it ends or stays silent instead."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_LIMIT_S)
        return self._process.stdout.readline() if ready else b""

    def _stop(self) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _environment() -> dict[str, str]:
    """What a child needs to import this very kmon, and nothing else: it has no use for keys."""
    kept = {name: value for name, value in os.environ.items() if name in _PASSED or name.startswith(_PASSED_PREFIXES)}
    here = str(Path(__file__).parents[2])
    path = kept.get("PYTHONPATH")
    return {**kept, "PYTHONPATH": f"{here}{os.pathsep}{path}" if path else here}
