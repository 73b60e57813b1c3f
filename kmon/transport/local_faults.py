"""What keeps this machine from asking anybody: no files, ports, memory, route or resolver left. Never the provider's.

Each kind of error is a signature of the group "this machine". What only a look at this machine can tell (is there a
route, is there a resolver) is looked at in the moment of the failure; nothing is sent for it to another machine.
"""

from __future__ import annotations

import datetime
import errno
import os
import socket
import ssl
from pathlib import Path
from typing import Any

from kmon.catalog.reading import UnreadableError, read_regular
from kmon.dialects.delta import StreamError
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
    """The fault of this machine that an ``errno`` means wherever it comes up; None for any other."""
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
    """What of this machine kept a TCP socket from ``address``; None where it is not this machine's."""
    found = local_error(error.errno)
    if error.errno == errno.EADDRNOTAVAIL:
        found = StreamError("no-local-port", "this machine has no free port, or no address, to connect from")
    elif error.errno in (errno.EACCES, errno.EPERM):
        found = StreamError("blocked-here", "this machine does not let kmon connect: a firewall or a sandbox on it")
    elif error.errno in _NO_ROUTE and not _has_route(family, address):
        found = StreamError("no-route", "this machine has no route to that address: not connected, or not to there")
    return None if found is None else LocalError(found)


def of_resolving(error: OSError) -> LocalError | None:
    """What of this machine kept a name from being looked up; None where a resolver can have been asked."""
    found = local_error(error.errno)
    if isinstance(error, socket.gaierror):
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as full:  # without a file the resolver fails in words that sound like an unknown name
            found = local_error(full.errno)
        if found is None and error.errno == socket.EAI_AGAIN and not any(map(_answers, _resolvers())):
            sentence = "this machine has no resolver that it can reach, so no name can be looked up"
            found = StreamError("no-resolver", sentence)
    return None if found is None else LocalError(found)


def of_certificate(error: ssl.SSLCertVerificationError) -> StreamError:
    """A certificate that is not trusted. One that is not valid yet is most often read by a clock that is behind."""
    today = f"it says {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    if error.verify_code == _NOT_YET_VALID:
        return StreamError(
            "wrong-clock", f"this machine's clock is behind the certificate, which is not valid yet: {today}"
        )
    clock = f", unless this machine's clock is wrong ({today})" if error.verify_code == _EXPIRED else ""
    return StreamError("tls", f"the certificate is not trusted: {error.verify_message}{clock}")


def _has_route(family: int, address: Any) -> bool:  # noqa: ANN401
    """Whether the kernel knows a way there. Connecting a datagram socket asks just that and sends nothing."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
    except OSError as error:
        return error.errno not in _NO_ROUTE
    return True


def _resolvers() -> list[str]:
    """The addresses of the resolvers this machine is told to ask; the one on itself where none is named."""
    try:
        text = (read_regular(RESOLVER_FILE, RESOLVER_FILE_LIMIT_BYTES) or b"").decode("ascii", "replace")
    except UnreadableError:
        text = ""
    named = [words[1] for line in text.splitlines() if len(words := line.split()) > 1 and words[0] == "nameserver"]
    return named or ["127.0.0.1"]


def _answers(address: str) -> bool:
    """Whether a resolver may be there: there is a route, and on this machine itself somebody listens."""
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
        return True  # nobody has refused it
    except OSError as error:
        return error.errno not in (*_NO_ROUTE, errno.ECONNREFUSED)
    return True
