"""The simulator in a child process, so that it does not disturb what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from kmon.simulator.child import Child, SimulatorError

__all__ = ["Embedded", "SimulatorError"]


class Embedded(Child):
    """A simulator in a child process: ``with Embedded(...).running()`` or ``async with Embedded(...)``.

    See :class:`Child` for its end and its errors. ``replay`` are files of recordings to serve as well (``replay.py``),
    ``fault`` is for every request, and ``places`` are to be open beside those of the profile (``endpoints.py``).
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
        options = [f"--profile={profile}", f"--speed={speed!r}", f"--seed={seed}", f"--fault={fault}"]
        super().__init__("kmon.simulator", [*options, *(f"--place={name}" for name in places), *files, *flags])

    @property
    def port(self) -> int:
        return int(self.ready.get("port", 0))

    @property
    def origins(self) -> dict[str, str]:
        """Origins of the places that are open, by name (``endpoints.py``)."""
        return dict(self.ready.get("origins", {}))

    @property
    def authority_pem(self) -> str:
        """The authority of the certificates in PEM; empty where no place with a certificate is open."""
        return str(self.ready.get("authority", ""))

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def origin_for(self, provider: str) -> str:
        """The origin for ``provider`` by the profile: the simulator's or a place's."""
        for pattern, name in self.ready.get("places", ()):
            if fnmatchcase(provider.lower(), pattern.lower()):
                return self.origins[name]
        return self.origin

    def base_url(self, provider: str) -> str:
        """The base URL for a client that takes the simulator for ``provider``."""
        return f"{self.origin}/{provider}/v1"
