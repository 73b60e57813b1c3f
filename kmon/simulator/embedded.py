"""The simulator in a process of its own, so that it does not disturb what is measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kmon.simulator.child import Child, SimulatorError

__all__ = ["Embedded", "SimulatorError"]


class Embedded(Child):
    """A simulator in a child process: ``with Embedded.running(...)`` or ``async with Embedded(...)``.

    The child ends with the context, and by itself when this process dies in any way. Entering raises
    :class:`UsageError` for options it refuses and :class:`SimulatorError` when it does not come up. ``replay`` are
    recordings to serve as well (see ``replay.py``).
    """

    def __init__(
        self,
        profile: str = "smooth",
        *,
        speed: float = 1.0,
        seed: int = 1,
        replay: Sequence[str | Path] = (),
        as_recorded: bool = False,
    ) -> None:
        files = [f"--replay={file}" for file in replay]
        flags = ["--as-recorded"] if as_recorded else []
        arguments = [f"--profile={profile}", f"--speed={speed!r}", f"--seed={seed}", *files, *flags]
        super().__init__("kmon.simulator", arguments)

    @property
    def port(self) -> int:
        return int(self.ready.get("port", 0))

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a path."""
        return f"http://127.0.0.1:{self.port}"

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
    ) -> Iterator[Embedded]:
        """The same for callers without an event loop."""
        embedded = cls(profile, speed=speed, seed=seed, replay=replay, as_recorded=as_recorded)
        embedded.start()
        try:
            yield embedded
        finally:
            embedded.stop()
