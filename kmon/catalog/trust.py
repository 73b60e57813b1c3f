"""What a cloned project may do with its user's keys: send them where they always go, and no more until allowed.

A project's ``kmon.toml`` may name any host. A key goes there only if it belongs there by kmon's own catalog or by the
user's own file, if it is the project's own (set in its ``.env`` alone, under a name that neither of the two knows), if
the host is this machine, or if the user has allowed this project that host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from kmon.address import is_loopback
from kmon.catalog.credential import at_home, host_of
from kmon.errors import UsageError
from kmon.model import Target

DEVICE = "kmon's device key"
"""What a gateway is shown besides its token; no variable holds it."""
ANY_KEY = "the key of the program that asks"
"""What passes a proxy."""
_SAID = {"AWS_PROFILE": "the AWS credentials of this machine"}


class Wish(Struct, frozen=True):
    """What a project wants: to have these sent to this host. ``place`` is the line of its file that says so."""

    place: str
    names: tuple[str, ...]
    host: str

    @property
    def sentence(self) -> str:
        return f"send {' and '.join(_SAID.get(name, name) for name in self.names)} to {self.host}"


class UntrustedHostError(UsageError):
    """A project's file would have keys sent to hosts that its user has not allowed it."""

    def __init__(self, directory: str, wishes: Sequence[Wish]) -> None:
        self.directory, self.wishes = directory, tuple(wishes)
        first = wishes[0]
        super().__init__(
            f"{first.place}: a project's file may not {first.sentence}; run 'kmon trust {directory}' if you trust that "
            "host, or give the target a key_env of its own and set it in .env"
        )


class Trust(Struct, frozen=True):
    """What is allowed to the project in ``directory``. The default allows nothing."""

    directory: str = "."
    homes: dict[str, frozenset[str]] = {}
    """Per variable, the hosts it is sent to by kmon's own targets and by the user's own file."""
    places: dict[str, str] = {}
    """Per target of those, its host."""
    allowed: frozenset[str] = frozenset()
    """The hosts that the user has allowed this project."""

    def wish(self, target: Target, names: Iterable[str]) -> Wish | None:
        """What of ``names`` the target's project may not have sent to it; None where all is well."""
        host = host_of(target.base_url)
        if self.is_allowed(target):
            return None
        away = tuple(name for name in dict.fromkeys(names) if not at_home(host, self.homes.get(name, ())))
        return Wish(target.named_in, away, host) if away else None

    def passing(self, target: Target) -> Wish | None:
        """The same for what a program sends through a proxy: it has keys of its own, whatever the project says."""
        host = host_of(target.base_url)
        own = self.places.get(target.name) or self.places.get(target.name.partition("/")[0])
        if self.is_allowed(target) or host == own:
            return None
        return Wish(target.named_in, (ANY_KEY,), host)

    def is_allowed(self, target: Target) -> bool:
        """Whether no project has a say in the target, or its host may be sent whatever the project names."""
        return not target.named_in or is_loopback(target.base_url) or host_of(target.base_url) in self.allowed


def homes_of(targets: Iterable[Target]) -> dict[str, frozenset[str]]:
    """Per variable, the hosts that ``targets`` send it to."""
    homes: dict[str, frozenset[str]] = {}
    for target in targets:
        for name in target.key_env:
            homes[name] = homes.get(name, frozenset()) | {host_of(target.base_url)}
    return homes
