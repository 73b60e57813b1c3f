"""The secrets for one target, and the hosts they may be sent to. They are kept in memory and sent by pipe only.

``keys.py`` decides the hosts when it makes a credential. Code that attaches it to a request checks it again with the
final URL, so that no region, redirect or proxy can send a key to another host.
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
"""Variables of a credential that are not secret."""
REGION_NAME = r"[a-z]{2,4}(?:-[a-z]+){1,3}-\d{1,2}"
"""Pattern of the name of an AWS region."""
KEY_HEADERS = ("x-api-key", "x-goog-api-key", "api-key")
"""The kinds of :data:`Auth` that are the name of the header with the bare key."""
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Credential(Struct, frozen=True):
    """Values by environment variable, the preferred one first. The repr has the names only."""

    by_env: dict[str, str] = {}
    hosts: tuple[str, ...] = ()
    """Hosts they may be sent to, as :func:`host_of` returns them; ``{region}`` matches the name of any region."""
    chain: bool = False
    """Whether the AWS client may use credentials that it finds: a profile, or a role of this machine."""

    def __repr__(self) -> str:
        return f"Credential({', '.join(sorted(self.by_env))})"

    @property
    def key(self) -> str | None:
        """The first secret; None without one."""
        return next(iter(self.secrets), None)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that must never be shown."""
        return tuple(value for name, value in self.by_env.items() if name not in PUBLIC)

    def authorization(self, auth: Auth, url: str, *, proxied: bool) -> dict[str, str]:
        """The header with the key for ``url``; empty without a key. Raises what :meth:`check` raises."""
        self.check(url, proxied=proxied)
        if self.key is None:
            return {}
        return {auth: self.key} if auth in KEY_HEADERS else {"Authorization": f"Bearer {self.key}"}

    def check(self, url: str, *, proxied: bool) -> None:
        """Raise :class:`UsageError` if the secrets may not be sent to ``url``; ``proxied``: over an HTTP proxy."""
        if not self.secrets and not self.chain:
            return
        host = host_of(url)
        if not is_allowed_host(host, self.hosts):
            raise UsageError(f"the key is not meant for {host}; nothing was sent")
        if urlsplit(url).scheme in ("http", "ws") and (proxied or not is_loopback(url)):
            raise UsageError(f"the key would go to {host} for all to read; use https://, nothing was sent")


def host_of(url: str) -> str:
    """Host and port of a URL in lower case, without the default port of its scheme."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{parts.port}"


def is_allowed_host(host: str, allowed: Iterable[str]) -> bool:
    """Whether ``host`` is one of ``allowed``. ``{region}`` in either matches the name of a region."""
    name = host.replace(REGION, "us-east-1")
    return any(re.fullmatch(re.escape(each).replace(re.escape(REGION), REGION_NAME), name) for each in allowed)
