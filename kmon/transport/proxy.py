"""Which proxy the environment sets, by the rules of curl and httpx; shown without its password."""

from __future__ import annotations

import importlib.util
import urllib.request
from urllib.parse import unquote, urlsplit

from kmon.address import is_loopback
from kmon.errors import UsageError

_AS_HTTP = {"ws": "http", "wss": "https"}
SCHEMES = ("http", "https", "socks5", "socks5h")


def proxy_for(url: str) -> str | None:
    """The proxy URL of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, or None for a direct connection.

    A WebSocket uses the proxy of http or https, with CONNECT. Loopback never uses a proxy: the request would leave this
    machine unencrypted, with its key, and the proxy's own loopback would answer.

    Raises :class:`UsageError` for a proxy that cannot be used.
    """
    if is_loopback(url):
        return None
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxy = proxies.get(_AS_HTTP.get(parts.scheme, parts.scheme)) or proxies.get("all")
    if not proxy:
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if problem := _problem(proxy):
        raise UsageError(f"the proxy set for {parts.scheme}:// (in the environment) {problem}")
    return proxy


def shown(proxy: str | None) -> str | None:
    """A proxy URL fit for a screen: scheme, host and port, never user or password."""
    if proxy is None:
        return None
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def secrets(url: str | None) -> tuple[str, ...]:
    """The password in a URL such as a proxy's, as written and decoded; it must not be shown."""
    try:
        password = urlsplit(url or "").password
    except ValueError:
        return ()
    return tuple(dict.fromkeys((password, unquote(password)))) if password else ()


def _problem(proxy: str) -> str | None:
    try:
        parts = urlsplit(proxy)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        return "is no URL; correct or unset it"
    if parts.scheme not in SCHEMES or not parts.hostname:
        return f"is not one of {', '.join(f'{scheme}://HOST:PORT' for scheme in SCHEMES)}; correct or unset it"
    if parts.scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
        return "is a SOCKS proxy, which needs the package socksio; run 'pip install socksio' or unset it"
    return None
