"""Decides to which hosts a project's ``kmon.toml``, which may come from a clone, can send the user's keys.

The file may name any host. A key is sent there only if kmon's catalog or the user's own file sends it to that host, if
the key is the project's own (set in its ``.env`` only, under a name that neither of the two has), if the host is this
machine, or if the user has allowed the host to the project.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from kmon.address import is_loopback
from kmon.catalog.credential import host_of, is_allowed_host
from kmon.errors import UsageError
from kmon.model import FileLine, Target

DEVICE = "kmon's device key"
"""Name of the key that signs in at a gateway in addition to the token; it is in no variable."""
ANY_KEY = "the key of the program that asks"
"""Name for the keys in requests that kmon proxies."""
_NAMES = {"AWS_PROFILE": "the AWS credentials of this machine"}


class Wish(Struct, frozen=True):
    """A project's request to send the keys ``names`` to ``host``; ``place`` is the line of its file."""

    place: FileLine
    names: tuple[str, ...]
    host: str

    @property
    def sentence(self) -> str:
        return f"send {' and '.join(_NAMES.get(name, name) for name in self.names)} to {self.host}"


class UntrustedHostError(UsageError):
    """A project's file sends keys to hosts that the user has not allowed."""

    def __init__(self, directory: str, wishes: Sequence[Wish]) -> None:
        self.directory, self.wishes = directory, tuple(wishes)
        first, place = wishes[0], wishes[0].place
        super().__init__(
            f"{place.path} line {place.line}: a project's file may not {first.sentence}; run 'kmon trust {directory}' "
            "if you trust that host, or give the target a key_env of its own and set it in .env"
        )


class Trust(Struct, frozen=True):
    """The hosts that the project in ``directory`` may send keys to. The default allows none."""

    directory: str = "."
    key_hosts: dict[str, frozenset[str]] = {}
    """Per variable, the hosts of the targets that use it in kmon's catalog and the user's own file."""
    target_hosts: dict[str, str] = {}
    """The host of each of these targets."""
    allowed: frozenset[str] = frozenset()
    """Hosts that the user has allowed to this project."""

    def wish(self, target: Target, names: Iterable[str]) -> Wish | None:
        """The keys of ``names`` that may not be sent to the target; None if all may."""
        host = host_of(target.base_url)
        place = self.asking_line(target)
        if place is None:
            return None
        refused = tuple(
            name for name in dict.fromkeys(names) if not is_allowed_host(host, self.key_hosts.get(name, ()))
        )
        return Wish(place, refused, host) if refused else None

    def passing(self, target: Target) -> Wish | None:
        """The same for a program behind kmon's proxy, whose requests hold keys that kmon does not know."""
        host = host_of(target.base_url)
        known_host = self.target_hosts.get(target.name) or self.target_hosts.get(target.name.partition("/")[0])
        place = self.asking_line(target)
        if place is None or host == known_host:
            return None
        return Wish(place, (ANY_KEY,), host)

    def asking_line(self, target: Target) -> FileLine | None:
        """The line by which a project asks for keys; None if no project defines the target, or its host is local or
        allowed, so that any key may be sent."""
        if is_loopback(target.base_url) or host_of(target.base_url) in self.allowed:
            return None
        return target.named_in


def key_hosts_of(targets: Iterable[Target]) -> dict[str, frozenset[str]]:
    """Per variable, the hosts of the ``targets`` that use it."""
    hosts: dict[str, frozenset[str]] = {}
    for target in targets:
        for name in target.key_env:
            hosts[name] = hosts.get(name, frozenset()) | {host_of(target.base_url)}
    return hosts
