"""From an exception of the network floor to one typed error in the words a person needs."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpcore
import httpx

from kmon.dialects.delta import StreamError
from kmon.transport.local_faults import LocalError, local_error, of_certificate

CONNECT_TIMEOUT = "connect-timeout"
"""The code of a connection that nobody refused and nobody accepted in time."""


class ExchangeError(Exception):
    """An exchange that cannot go on; ``error`` says why."""

    def __init__(self, error: StreamError) -> None:
        super().__init__(error.message)
        self.error = error


class NotSentError(ExchangeError):
    """A client refused to send a request."""


def stream_error(exc: BaseException) -> StreamError:
    """Name what went wrong, looking through the chain of causes."""
    if isinstance(exc, httpcore.ConnectTimeout | httpx.ConnectTimeout):
        return StreamError("connect", "no connection within the connect timeout", code=CONNECT_TIMEOUT)
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
    seen: BaseException | None = exc
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
