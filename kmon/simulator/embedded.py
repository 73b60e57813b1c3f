"""The simulator in a process of its own, so that it does not disturb what is measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from kmon.simulator.child import Child, SimulatorError

__all__ = ["Embedded", "SimulatorError"]


class Embedded(Child):
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
        if Path(profile).is_file():
            profile = str(Path(profile).absolute())  # the child works in another directory
        files = [f"--replay={Path(file).absolute()}" for file in replay]
        flags = ["--as-recorded"] if as_recorded else []
        asked = [f"--profile={profile}", f"--speed={speed!r}", f"--seed={seed}", f"--fault={fault}"]
        super().__init__("kmon.simulator", [*asked, *(f"--place={name}" for name in places), *files, *flags])

    @property
    def port(self) -> int:
        return int(self.ready.get("port", 0))

    @property
    def origins(self) -> dict[str, str]:
        """Of the places that are open, by name (see ``places.py``)."""
        return dict(self.ready.get("origins", {}))

    @property
    def authority_pem(self) -> str:
        """Who vouches for the certificate of the place ``tls``; empty where that is not open."""
        return str(self.ready.get("authority", ""))

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def origin_for(self, provider: str) -> str:
        """Where the profile has a client go that imitates talking to ``provider``: here, or to a place."""
        for pattern, name in self.ready.get("places", ()):
            if fnmatchcase(provider.lower(), pattern.lower()):
                return self.origins[name]
        return self.origin

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
        embedded.start()
        try:
            yield embedded
        finally:
            embedded.stop()
