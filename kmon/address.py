"""Checks base URLs, model ids and names of key variables, and tells addresses of this machine from others.

A value that may hold a secret by mistake (a key instead of its variable's name, a password in a URL) is never repeated
in the message.
"""

from __future__ import annotations

import errno
import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from kmon.format import listed

_EXAMPLE = "https://api.example.com/v1"
_ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,99}\Z")
_HOST = re.compile(r"[A-Za-z0-9._-]+\Z")
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{0,5}))?\Z")


def base_url_problem(url: str, schemes: tuple[str, ...] = ("http", "https")) -> str | None:
    """Why ``url`` cannot be a base URL, or None if it can. It must have one of ``schemes``."""
    example = _EXAMPLE if "https" in schemes else "ws://127.0.0.1:18789"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return f"is not a URL; write it like {example}"
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        return "has credentials inside; take them out and name the key's variable instead"
    if parts.scheme not in schemes:
        return f"must begin with {listed([f'{scheme}://' for scheme in schemes], 'or')}"
    if not parts.hostname or not (_HOST.match(parts.hostname) or _is_ip(parts.hostname)) or port == 0:
        return f"has no usable host and port; write it like {example}"
    if parts.query or parts.fragment:
        return "must end with its path; take out what follows the ? or #"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "has spaces or characters that cannot be in a URL"
    return None


def model_problem(model: str) -> str | None:
    """Why ``model`` cannot be a model id, or None if it can."""
    if not model:
        return "the model id is empty"
    if not model.isprintable() or " " in model:
        return "a model id has no spaces or control characters"
    return None


def env_name_problem(name: str) -> str | None:
    """Why ``name`` cannot name a key's variable, or None. Upper case only, so that a pasted key does not pass."""
    if _ENV_NAME.match(name):
        return None
    return "must be the name of an environment variable in capitals, such as TOGETHER_API_KEY, never the key itself"


def host_and_port(url: str) -> str:
    """The host of a base URL and its port, if there is one; never user or password."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port is None else f"{host}:{parts.port}"


def over_http(url: str) -> str:
    """The URL at which the server of a ws or wss URL answers plain HTTP; another URL as it is."""
    return f"http{url.removeprefix('ws')}" if urlsplit(url).scheme in ("ws", "wss") else url


def over_websocket(url: str) -> str:
    """The ws or wss URL of the server that answers plain HTTP at an http or https URL; another URL as it is."""
    return f"ws{url.removeprefix('http')}" if urlsplit(url).scheme in ("http", "https") else url


def is_loopback(url: str) -> bool:
    """True if a base URL can only mean this machine."""
    host = urlsplit(url).hostname or ""
    address = _ip(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def authority(text: str) -> tuple[str, str] | None:
    """Host and port of a Host header, such as ``localhost:8787``; None if it cannot be parsed.

    The host is in lower case, without IPv6 brackets and without a trailing dot; the port may be empty.
    """
    found = _AUTHORITY.match(text)
    if found is None or (found[3] and int(found[3]) > 65_535):
        return None
    host = (found[1] or found[2]).lower().removesuffix(".")
    return (host, (found[3] or "").lstrip("0")) if host else None


def names_loopback(host: str) -> bool:
    """Whether ``host``, from :func:`authority`, is a name by which a client reaches this machine over loopback.

    Accepts more than :func:`is_loopback`, which decides where a key may go: names under ``localhost`` (RFC 6761) and
    every spelling of 127.0.0.0/8 that resolvers accept (``127.1``, ``0x7f000001``). No web site can have such a name.
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _ip(host)
    if isinstance(address, IPv6Address):
        return (address.ipv4_mapped or address).is_loopback
    try:
        return socket.inet_aton(host)[0] == 127
    except OSError:
        return False


def unusable(host: str, port: int, error: OSError) -> str:
    """A sentence that says why ``host`` and ``port`` cannot be listened on, and what to do."""
    where = f"{host} port {port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use; choose another --port, or 0 for any free one"
    if error.errno == errno.EACCES:
        return f"{where} needs more rights; choose a --port above 1023"
    return f"cannot listen on {where} ({error.strerror}); choose another --host or --port"


def _is_ip(host: str) -> bool:
    return _ip(host) is not None


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
