"""Opens the HTTP exchange of an attempt, or that of the AWS client, with what all attempts of a race share."""

from __future__ import annotations

import codecs
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import TYPE_CHECKING

import anyio

from kmon.blame.local_monitor import LocalMonitor
from kmon.catalog import aws
from kmon.catalog.credential import Credential
from kmon.dialects.delta import StreamError
from kmon.dialects.dialect import WireRequest
from kmon.dialects.registry import dialect
from kmon.errors import UsageError
from kmon.model import Target
from kmon.transport.authorities import authorities
from kmon.transport.carriage import Carriage, KeptConnections
from kmon.transport.errors import NotSentError
from kmon.transport.http import Answer, HttpRequest, exchange
from kmon.transport.phase import OnPhase, OnSampler
from kmon.transport.proxy import proxy_for

if TYPE_CHECKING:
    from kmon.transport.bedrock import Bedrock


class Shared:
    """The TLS context, local monitor and AWS client of a race. Create it on the race's event loop.

    ``bedrock`` imports aiobotocore on first use. With ``keep_connections`` a connection is left open for later
    attempts; :meth:`close` closes those.
    """

    def __init__(self, *, keep_connections: bool = False) -> None:
        self.ssl_context = authorities()
        self.monitor = LocalMonitor()
        self._kept = KeptConnections() if keep_connections else None
        # DNS needs this codec; loading it opens a file, which fails later if no descriptor is free
        codecs.lookup("idna")
        anyio.Lock()  # loads what httpcore would load within the first attempt: 60 to 90 ms, measured

    @cached_property
    def bedrock(self) -> Bedrock:
        from kmon.transport.bedrock import Bedrock

        return Bedrock(self.ssl_context)

    def carriage(self, target: Target) -> Carriage:
        """How a request to the target is carried."""
        return Carriage(self._kept, target.reuse_connection, target.http2)

    async def close(self) -> None:
        """Close the connections that were left open. May be repeated."""
        if self._kept is not None:
            await self._kept.close()


def url_of(target: Target, request: WireRequest, credential: Credential) -> str:
    """The full URL of the request, with the region filled in."""
    return aws.base_url_of(target, credential.by_env).rstrip("/") + request.path


def open_exchange(
    target: Target,
    request: WireRequest,
    *,
    credential: Credential,
    shared: Shared,
    on_phase: OnPhase,
    connect_timeout_s: float,
    on_sampler: OnSampler | None = None,
) -> AbstractAsyncContextManager[Answer]:
    """A context that sends ``request`` when entered and returns the response; leaving it closes the socket, or
    keeps it as the target and the race say.

    Raises :class:`NotSentError` if the key may not go to the URL.
    """
    if dialect(target.dialect).transport == "aws":
        return shared.bedrock.exchange(
            request,
            aws.endpoint_of(target, credential.by_env),
            credential=credential,
            on_phase=on_phase,
            connect_timeout_s=connect_timeout_s,
            on_sampler=on_sampler,
            carriage=shared.carriage(target),
        )
    url = url_of(target, request, credential)
    proxy = proxy_for(url)
    may_be_sent(credential, url)
    headers = request.headers | credential.authorization(target.auth, url, proxied=proxy is not None)
    return exchange(
        HttpRequest(request.method, url, headers, request.body),
        on_phase=on_phase,
        ssl_context=shared.ssl_context,
        connect_timeout_s=connect_timeout_s,
        proxy=proxy,
        on_sampler=on_sampler,
        carriage=shared.carriage(target),
    )


def may_be_sent(credential: Credential, url: str) -> None:
    """Raise :class:`NotSentError` if the key may not go to ``url`` by the present route (direct or by proxy)."""
    try:
        credential.check(url, proxied=proxy_for(url) is not None)
    except UsageError as error:
        raise NotSentError(StreamError("key-withheld", str(error))) from None


async def prepare(target: Target, credential: Credential, shared: Shared, limit_s: float) -> None:
    """Create clients and fetch credentials now, at most for ``limit_s``, so that no attempt includes it."""
    if dialect(target.dialect).transport == "aws":
        await shared.bedrock.prepare(credential, aws.endpoint_of(target, credential.by_env), limit_s)
