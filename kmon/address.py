"""What may stand as a base URL, a model id and the name of a key's variable. Problems come back as words.

A value that may hold a secret by mistake (a key where its variable's name belongs, a password in a URL) is never
repeated in the complaint.
"""

from __future__ import annotations

import errno
import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

_EXAMPLE = "https://api.example.com/v1"
_ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,99}\Z")
_HOST = re.compile(r"[A-Za-z0-9._-]+\Z")
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{0,5}))?\Z")


def base_url_problem(url: str, *, websocket: bool = False) -> str | None:
    """Why ``url`` cannot be a base URL, or None if it can. A ``websocket`` has schemes of its own."""
    schemes, example = (("ws", "wss"), "ws://127.0.0.1:18789") if websocket else (("http", "https"), _EXAMPLE)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return f"is not a URL; write it like {example}"
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        return "has credentials inside; take them out and name the key's variable instead"
    if parts.scheme not in schemes:
        return f"must begin with {schemes[0]}:// or {schemes[1]}://"
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
    """The host of a base URL, with its port if one is written; never what else stands in it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port is None else f"{host}:{parts.port}"


def is_loopback(url: str) -> bool:
    """True when a base URL can only mean this machine."""
    host = urlsplit(url).hostname or ""
    address = _ip(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def authority(text: str) -> tuple[str, str] | None:
    """Host and port of what a Host header says, such as ``localhost:8787``; None if it is no such thing.

    The host is in lower case, without the brackets of IPv6 and without the dot of a full name; a port may be empty.
    """
    found = _AUTHORITY.match(text)
    if found is None or (found[3] and int(found[3]) > 65_535):
        return None
    host = (found[1] or found[2]).lower().removesuffix(".")
    return (host, (found[3] or "").lstrip("0")) if host else None


def names_loopback(host: str) -> bool:
    """Whether ``host``, as :func:`authority` gives it, is what a client calls this machine that reaches it by loopback.

    Wider than :func:`is_loopback`, which decides where a key may go: names under ``localhost`` (RFC 6761) and every
    spelling of 127.0.0.0/8 that a client's resolver takes (``127.1``, ``0x7f000001``). None of them can be the name of
    somebody's web site, which is what matters here.
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
    """A sentence for who asked for an address that cannot be listened on."""
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
