"""Sends one GET request to an endpoint over the transport of a race, and times TCP, TLS and the wait for headers."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from time import monotonic_ns
from typing import Literal
from urllib.parse import urlsplit

import httpcore
import httpx
from msgspec import Struct
from msgspec.structs import replace

from kmon.dialects.bounds import MESSAGE_LIMIT_CHARS
from kmon.doctor.clock import Reading, server_time_s
from kmon.doctor.model_list import BODY_LIMIT_BYTES, ModelListResponse
from kmon.stream.sanitize import Sanitizer
from kmon.transport.backend import StampingBackend
from kmon.transport.errors import stream_error
from kmon.transport.http import Answer, HttpRequest, exchange
from kmon.transport.phase import Phase
from kmon.transport.timestamps import realtime_offset_ns

Step = Literal["dns", "tcp", "tls", "http"]
BROKEN = (
    httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.ProxyError,
    httpcore.UnsupportedProtocol, httpx.HTTPError, httpx.InvalidURL, OSError, ImportError, ValueError,
)  # fmt: skip
"""Exceptions of an exchange that fails."""
_SILENCE: dict[Step, str] = {
    "dns": "the resolver gave no answer",
    "tcp": "no TCP connection",
    "tls": "the connection was accepted, but no TLS handshake came",
    "http": "the request was taken, but no answer came",
}


class EndpointRequest(Struct, frozen=True, kw_only=True):
    """A GET request and its proxy. ``safe`` removes secrets from texts about it."""

    url: str
    headers: Mapping[str, str]
    proxy: str | None
    safe: Sanitizer

    def __repr__(self) -> str:
        """Without headers and proxy, because both may hold secrets."""
        return f"EndpointRequest({self.url})"


class Exchange(Struct, frozen=True, kw_only=True):
    """One try: the duration of each step (ms), the step that failed, and data from the response."""

    tcp_ms: float | None = None
    tls_ms: float | None = None
    """Includes the proxy's CONNECT, if there is a proxy."""
    http_ms: float | None = None
    """From the end of the request to the end of the response headers."""
    tls_version: str = ""
    failed_at: Step | None = None
    error: str | None = None
    status: int | None = None
    response: ModelListResponse | None = None
    """The response with its body, if ``read_body`` was given."""
    reading: Reading | None = None
    certificate: bytes | None = None


async def send(request: EndpointRequest, context: ssl.SSLContext, limit_s: float, *, read_body: bool) -> Exchange:
    """Send the request; each step has ``limit_s``. A network failure is returned in ``error``, never raised."""
    stamps: dict[Phase, int] = {}
    details: dict[Phase, str] = {}
    start_ns = monotonic_ns()
    loop = asyncio.get_running_loop()
    answer: Answer | None = None
    response: ModelListResponse | None = None
    error: str | None = None
    try:
        async with asyncio.timeout(limit_s) as deadline:

            def on_phase(phase: Phase, t_ns: int, detail: str) -> None:
                stamps[phase], details[phase] = t_ns, detail
                deadline.reschedule(loop.time() + limit_s)

            async with exchange(
                HttpRequest("GET", request.url, {"Accept": "application/json", **request.headers}),
                on_phase=on_phase,
                ssl_context=context,
                connect_timeout_s=2 * limit_s,  # covers DNS, TCP and TLS together; the deadline limits each
                proxy=request.proxy,
            ) as answer:
                deadline.reschedule(None)
                certificate = answer.certificate
                if read_body:
                    body = await answer.body(BODY_LIMIT_BYTES, limit_s)
                    response = ModelListResponse(answer.status, answer.content_type, dict(answer.headers), body)
    except TimeoutError:
        error = f"{_SILENCE[_next_step(stamps, request.url)]} within {limit_s:g} s"
    except BROKEN as broken:
        error = request.safe.redacted(stream_error(broken).message, MESSAGE_LIMIT_CHARS)
    timed = Exchange(
        tcp_ms=_between_ms(stamps.get("dns", start_ns), stamps.get("connect")),
        tls_ms=_between_ms(stamps.get("connect"), stamps.get("tls")),
        http_ms=_between_ms(stamps.get("request_sent"), stamps.get("headers")),
        tls_version=details.get("tls", ""),
        failed_at=_next_step(stamps, request.url) if error else None,
        error=error,
    )
    if answer is None or error:
        return timed
    return replace(
        timed, status=answer.status, response=response, reading=_reading(answer, stamps), certificate=certificate
    )


async def untrusted_certificate(host: str, port: int, limit_s: float) -> bytes | None:
    """The certificate (DER) of a server that is not trusted. Only the TLS handshake is sent; None if it fails."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    stream: httpcore.AsyncNetworkStream | None = None
    try:
        async with asyncio.timeout(limit_s):
            stream = await StampingBackend(lambda *_: None).connect_tcp(host, port)
            stream = await stream.start_tls(context, host)
            certificate: bytes | None = stream.get_extra_info("ssl_object").getpeercert(binary_form=True)
            return certificate
    except (TimeoutError, httpcore.NetworkError, httpcore.TimeoutException):
        return None
    finally:
        if stream is not None:
            with contextlib.suppress(httpcore.NetworkError):
                await stream.aclose()


def _next_step(stamps: Mapping[Phase, int], url: str) -> Step:
    """The first step that was not completed."""
    if "dns" not in stamps:
        return "dns"
    if "connect" not in stamps:
        return "tcp"
    return "tls" if urlsplit(url).scheme == "https" and "tls" not in stamps else "http"


def _reading(answer: Answer, stamps: Mapping[Phase, int]) -> Reading | None:
    server_s = server_time_s(answer.headers.get("date"))
    sent_ns = stamps.get("request_sent")
    if server_s is None or sent_ns is None:
        return None
    offset_ns = realtime_offset_ns()
    return Reading(server_s, (sent_ns + offset_ns) / 1e9, (answer.headers_ns + offset_ns) / 1e9)


def _between_ms(start_ns: int | None, end_ns: int | None) -> float | None:
    return None if start_ns is None or end_ns is None else max(0.0, (end_ns - start_ns) / 1e6)
