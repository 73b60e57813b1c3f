"""The secrets one target is asked with, and the hosts they may be sent to. They travel in memory and by pipe only.

What may be sent where is decided once, when a credential is made (``keys.py``); whatever attaches it to a request asks
it again with the final URL, so no region, redirect or proxy can lead a key elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from msgspec import Struct

from kmon.address import is_loopback
from kmon.errors import UsageError
from kmon.model import REGION, Auth

PUBLIC = frozenset({"AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"})
"""Variables that go along but hold no secret."""
REGION_NAME = r"[a-z]{2,4}(?:-[a-z]+){1,3}-\d{1,2}"
"""The form of an AWS region's name."""
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Credential(Struct, frozen=True):
    """Values by environment-variable name, the one that wins first. Its repr names the variables only."""

    by_env: dict[str, str] = {}
    hosts: tuple[str, ...] = ()
    """Who may be sent them: hosts as :func:`host_of` writes them, ``{region}`` for the name of any region."""
    chain: bool = False
    """Whether the AWS client may sign with what it finds by itself: a profile, a role of this machine."""

    def __repr__(self) -> str:
        return f"Credential({', '.join(sorted(self.by_env))})"

    @property
    def key(self) -> str | None:
        """The key of a target that needs just one."""
        return next(iter(self.secrets), None)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be shown nowhere."""
        return tuple(value for name, value in self.by_env.items() if name not in PUBLIC)

    def authorization(self, auth: Auth, url: str, *, proxied: bool) -> dict[str, str]:
        """The header that presents the key to ``url``; empty without a key. Raises :class:`UsageError`."""
        self.check(url, proxied=proxied)
        if self.key is None:
            return {}
        return {"x-api-key": self.key} if auth == "x-api-key" else {"Authorization": f"Bearer {self.key}"}

    def check(self, url: str, *, proxied: bool) -> None:
        """Raise :class:`UsageError` unless what is held may be sent to ``url``, the first hop being a proxy or not."""
        if not self.secrets and not self.chain:
            return
        host = host_of(url)
        if not at_home(host, self.hosts):
            raise UsageError(f"the key is not meant for {host}; nothing was sent")
        if urlsplit(url).scheme in ("http", "ws") and (proxied or not is_loopback(url)):
            raise UsageError(f"the key would go to {host} for all to read; use https://, nothing was sent")


def host_of(url: str) -> str:
    """Host and port of a URL in lower case, without the port that is the scheme's own."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{parts.port}"


def at_home(host: str, homes: Iterable[str]) -> bool:
    """Whether ``host`` is one of ``homes``. ``{region}`` stands for one region's name, in either of them."""
    name = host.replace(REGION, "us-east-1")
    return any(re.fullmatch(re.escape(home).replace(re.escape(REGION), REGION_NAME), name) for home in homes)
