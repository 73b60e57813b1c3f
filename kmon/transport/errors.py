"""Turns an exception of the network into one typed error, and separates this machine's failures from the provider's.

A failure of this machine (no files, ports, memory, route or resolver left) has a signature of the group "this machine".
What only a look at this machine can show (is there a route, is there a resolver) is checked at the time of the
failure; the check sends nothing to another machine.
"""

from __future__ import annotations

import datetime
import errno
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpcore
import httpx

from kmon.catalog.reading import UnreadableError, read_regular
from kmon.dialects.delta import CONNECT_TIMEOUT, StreamError
from kmon.process.files import open_files_limit

RESOLVER_FILE = Path("/etc/resolv.conf")
RESOLVER_FILE_LIMIT_BYTES = 64 * 1024
DNS_PORT = 53

_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
_NOT_YET_VALID, _EXPIRED = 9, 10
"""X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED of OpenSSL."""


class LocalError(OSError):
    """A failure of this machine; ``error`` says which."""

    def __init__(self, error: StreamError) -> None:
        super().__init__(error.message)
        self.error = error


def local_error(number: int | None) -> StreamError | None:
    """The failure of this machine that an ``errno`` always means; None for any other."""
    match number:
        case errno.EMFILE:
            advice = "raise the limit with 'ulimit -n 4096', or race fewer streams at once"
            allowed = f"this machine lets one program open {open_files_limit()} files at once, and they are used up"
            return StreamError("out-of-files", f"{allowed}; {advice}")
        case errno.ENFILE:
            return StreamError("out-of-files", "this machine has no open files left for any program")
        case errno.ENOBUFS | errno.ENOMEM:
            return StreamError("out-of-memory", "this machine has no memory left for a connection")
    return None


def of_connecting(error: OSError, family: int, address: Any) -> LocalError | None:  # noqa: ANN401 - as sockets have it
    """The failure of this machine that kept a socket from connecting to ``address``; None if it is not the cause."""
    found = local_error(error.errno)
    if error.errno == errno.EADDRNOTAVAIL:
        found = StreamError("no-local-port", "this machine has no free port, or no address, to connect from")
    elif error.errno in (errno.EACCES, errno.EPERM):
        found = StreamError("blocked-here", "this machine does not let kmon connect: a firewall or a sandbox on it")
    elif error.errno in _NO_ROUTE and not _has_route(family, address):
        found = StreamError("no-route", "this machine has no route to that address: not connected, or not to there")
    return None if found is None else LocalError(found)


def of_resolving(error: OSError) -> LocalError | None:
    """The failure of this machine that prevented a DNS lookup; None if a resolver may have answered.

    Without a free descriptor getaddrinfo fails as if the name were unknown, or with the number of an unrelated failure
    (EBUSY), so whether there is one is tried, whatever it says.
    """
    found = local_error(error.errno)
    if found is None:
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as full:
            found = local_error(full.errno)
    unanswered = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
    if found is None and unanswered and not any(map(_answers, _resolvers())):
        found = StreamError(
            "no-resolver", "this machine has no resolver that it can reach, so no name can be looked up"
        )
    return None if found is None else LocalError(found)


def of_certificate(error: ssl.SSLCertVerificationError) -> StreamError:
    """The error for an untrusted certificate. If it is not valid yet, the usual cause is a clock that is behind."""
    today = f"it says {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    if error.verify_code == _NOT_YET_VALID:
        return StreamError(
            "wrong-clock", f"this machine's clock is behind the certificate, which is not valid yet: {today}"
        )
    clock = f", unless this machine's clock is wrong ({today})" if error.verify_code == _EXPIRED else ""
    return StreamError("tls", f"the certificate is not trusted: {error.verify_message}{clock}")


def _has_route(family: int, address: Any) -> bool:  # noqa: ANN401
    """Whether the kernel has a route. Connecting a datagram socket checks that and sends nothing."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
    except OSError as error:
        return error.errno not in _NO_ROUTE
    return True


def _resolvers() -> list[str]:
    """Addresses of the configured resolvers; 127.0.0.1 if none is configured, as the C library does."""
    try:
        text = (read_regular(RESOLVER_FILE, RESOLVER_FILE_LIMIT_BYTES) or b"").decode("ascii", "replace")
    except UnreadableError:
        text = ""
    named = [words[1] for line in text.splitlines() if len(words := line.split()) > 1 and words[0] == "nameserver"]
    return named or ["127.0.0.1"]


def _answers(address: str) -> bool:
    """Whether a resolver may answer: there is a route, and a loopback address has a listener."""
    try:
        found = socket.getaddrinfo(address, DNS_PORT, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
        family, kind, protocol, _, where = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setblocking(False)
            probe.connect(where)
            if address.startswith("127.") or address == "::1":
                probe.send(b"")
                probe.recv(1)
    except BlockingIOError:
        return True  # nothing refused the datagram
    except OSError as error:
        return error.errno not in (*_NO_ROUTE, errno.ECONNREFUSED)
    return True


class ExchangeError(Exception):
    """An exchange that cannot go on; ``error`` says why."""

    def __init__(self, error: StreamError) -> None:
        super().__init__(error.message)
        self.error = error


class NotSentError(ExchangeError):
    """A client library refused to send a request."""


class Http2Error(httpcore.RemoteProtocolError):
    """What only HTTP/2 has: a stream or a connection that the server ends; ``error`` says how."""

    def __init__(self, error: StreamError) -> None:
        super().__init__(error.message)
        self.error = error


def stream_error(exc: BaseException) -> StreamError:
    """The error for an exception, found in its chain of causes."""
    if isinstance(exc, httpcore.ConnectTimeout | httpx.ConnectTimeout):
        return StreamError("connect", "no connection within the connect timeout", code=CONNECT_TIMEOUT)
    if isinstance(exc, Http2Error):
        return exc.error
    causes = list(_causes(exc))
    text = next((str(c) for c in causes if str(c)), type(exc).__name__)
    for cause in causes:
        if isinstance(cause, LocalError):
            return cause.error
        if isinstance(cause, socket.gaierror):
            return StreamError("dns", f"the host name does not resolve ({cause.strerror or cause})")
        if isinstance(cause, ssl.SSLCertVerificationError):
            return of_certificate(cause)
        if isinstance(cause, ssl.SSLError):
            return StreamError("tls", f"the TLS handshake or session failed: {cause.reason or cause}")
        if isinstance(cause, ConnectionRefusedError):
            return StreamError("connect", "connection refused: nothing listens on that address and port")
        if isinstance(cause, ConnectionResetError | BrokenPipeError):
            return StreamError("reset", "the peer reset the connection (TCP RST)")
        if isinstance(cause, OSError) and (local := local_error(cause.errno)) is not None:
            return local
    if isinstance(exc, httpcore.ProxyError):
        return StreamError("connect", f"the proxy refused: {text}")
    if isinstance(exc, httpcore.ConnectError | httpx.ConnectError):
        return StreamError("connect", text)
    if isinstance(exc, httpcore.RemoteProtocolError) and "without sending complete" in text:
        return StreamError("cut", "the peer closed the connection in the middle of the body")
    if isinstance(exc, httpcore.RemoteProtocolError) and "without sending a response" in text:
        return StreamError("cut", "the peer closed the connection without sending a response")
    if isinstance(exc, httpx.DecodingError):
        return StreamError("protocol", text)
    if isinstance(exc, httpcore.ProtocolError | httpx.ProtocolError):
        return StreamError("protocol", f"the answer is not valid HTTP: {text}")
    return StreamError("network", text)


def _causes(exc: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = exc
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
