"""Checks of a request that kmon's own loopback servers make: its header fields, and the program or page it comes from.

Header fields are parsed so strictly that no other parser can read them differently: such differences are how a request
is smuggled past one parser (RFC 9112, section 11.2). Real clients never write such fields.

Programs of this machine, and pages that the server itself served, may send requests; no other web page may. A browser
can send requests to loopback for every page it shows, and the host name of a page may later resolve to loopback (DNS
rebinding), so that the page reads the answers. So the Host must be a loopback name, which a web site cannot have, and
what browsers send about a page (Origin, Sec-Fetch-Site) must name the server itself. Programs send neither. No answer
has an Access-Control header of kmon's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from kmon.address import authority, names_loopback
from kmon.dialects.text import clean

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
LINE_BREAKER = re.compile(rb"[\x00\r\n]")
"""Bytes that some parser takes as the end of a line or of the text."""
NAME_LIMIT_CHARS = 100
OWN_SITES = ("none", "same-origin")
"""Allowed values of Sec-Fetch-Site: the user opened the address, or the page is of the same origin."""
_SCHEMES = ("http://", "https://")


class FieldError(ValueError):
    """A line of a request's head that is no header field; the message says why."""


def request_fields(lines: Iterable[bytes]) -> dict[str, str]:
    """The fields of ``lines``, each without its CRLF. Names are lower case; values of a repeated name are joined.

    Raises :class:`FieldError` for a line that is folded, has a NUL, a bare CR or LF, no colon, or an invalid name.
    """
    fields: dict[str, str] = {}
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            raise FieldError("a header that goes on in the next line: write it in one")
        if LINE_BREAKER.search(line):
            raise FieldError("a header with a NUL in it, or a line that does not end in CRLF")
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.match(name):
            raise FieldError("a malformed header line: it must be a name, a colon and a value")
        key, content = name.lower().decode("ascii"), value.strip(b" \t").decode("latin-1")
        fields[key] = f"{fields[key]}, {content}" if key in fields else content
    return fields


class NotLocalError(ValueError):
    """A refused request. The message is a sentence for both ends; ``status`` is the HTTP status, ``code`` the kind."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class LocalOnly:
    """The check of one server that listens on the loopback name ``host``; sentences call it ``server``.

    ``complain`` gets the sentence of the first refusal of each kind only, because a page can make thousands.
    """

    def __init__(self, server: str, host: str, complain: Callable[[str], None]) -> None:
        self._server, self._host, self._complain = server, host.lower(), complain
        self._reported: set[str] = set()

    def check(self, target: str, minor: int, fields: Mapping[str, str]) -> None:
        """Check a request by its target as sent, its minor version (1 for HTTP/1.1) and its fields from
        :func:`request_fields`. Raises :class:`NotLocalError`."""
        try:
            own = self._host_of(fields.get("host"), minor)
            if target.lower().startswith(_SCHEMES):  # it overrides the Host (RFC 9112, section 3.2.2)
                own = self._host_of(target.partition("://")[2].partition("/")[0].partition("?")[0], minor)
            self._check_page(own, fields)
        except NotLocalError as error:
            if error.code not in self._reported:
                self._reported.add(error.code)
                self._complain(str(error))
            raise

    def _host_of(self, host: str | None, minor: int) -> tuple[str, str]:
        if host is None:
            if minor == 0:
                return "", ""
            raise NotLocalError(400, "bad-host", "a request without a Host header: send one, such as Host: localhost")
        named = authority(host)
        if named is None:
            raise NotLocalError(400, "bad-host", "a request whose Host is not one name and port: send Host: localhost")
        if names_loopback(named[0]) or named[0] == self._host:
            return named
        raise NotLocalError(
            421,
            "wrong-host",
            f"a request for the host {_shown(named[0])} was refused: {self._server} answers only to 127.0.0.1, "
            "localhost and the like, because any other name may be a web site's (DNS rebinding)",
        )

    def _check_page(self, own: tuple[str, str], fields: Mapping[str, str]) -> None:
        origin, site = fields.get("origin"), fields.get("sec-fetch-site")
        if (origin is None or _same(origin, own)) and (site is None or site in OWN_SITES):
            return
        page = _shown(_origin_of(origin or fields.get("referer", "")))
        raise NotLocalError(
            403,
            "cross-site",
            f"a web page on {page or 'another site'} tried to use {self._server} and was refused: "
            "programs may use it, and pages that came from its own address",
        )


def _same(origin: str, own: tuple[str, str]) -> bool:
    """Whether ``origin`` is the server's own address. The scheme is ignored, because a port serves only one."""
    scheme = next((scheme for scheme in _SCHEMES if origin.lower().startswith(scheme)), "")
    return bool(scheme) and bool(own[0]) and authority(origin[len(scheme) :]) == own


def _origin_of(page: str) -> str:
    """Scheme and host of a page's address, without its path, which is private; empty for ``null``."""
    try:
        parts = urlsplit(page)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""


def _shown(text: str) -> str:
    return clean(text).replace("\n", " ")[:NAME_LIMIT_CHARS]
