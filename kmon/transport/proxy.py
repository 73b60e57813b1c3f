"""Which proxy the environment asks for. Honoured as curl and httpx do, and shown without its password."""

from __future__ import annotations

import urllib.request
from urllib.parse import urlsplit


def proxy_for(url: str) -> str | None:
    """The proxy URL that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY ask for, or None for a direct connection."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    return proxy


def shown(proxy: str | None) -> str | None:
    """A proxy URL fit for a screen: scheme, host and port, never user or password."""
    if proxy is None:
        return None
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
