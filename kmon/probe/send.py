"""Opens the exchange of an attempt: over plain HTTP, or through the AWS client where the dialect wants one."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from kmon.catalog import aws
from kmon.catalog.credential import Credential
from kmon.dialects.delta import StreamError
from kmon.dialects.dialect import WireRequest
from kmon.dialects.registry import dialect
from kmon.errors import UsageError
from kmon.model import Target
from kmon.probe.context import Shared
from kmon.transport.connect import OnPhase, OnSampler
from kmon.transport.errors import NotSentError
from kmon.transport.http import Answer, HttpRequest, exchange
from kmon.transport.proxy import proxy_for


def url_of(target: Target, request: WireRequest, credential: Credential) -> str:
    """Where the request goes, with the region in place."""
    return aws.base_url_of(target, credential.by_env).rstrip("/") + request.path


def ask(
    target: Target,
    request: WireRequest,
    *,
    credential: Credential,
    network: Shared,
    on_phase: OnPhase,
    connect_timeout_s: float,
    on_sampler: OnSampler | None = None,
) -> AbstractAsyncContextManager[Answer]:
    """Send ``request`` when entered and give its answer; leaving closes the socket."""
    if dialect(target.dialect).transport == "aws":
        return network.bedrock.exchange(
            request,
            aws.endpoint_of(target, credential.by_env),
            credential=credential,
            on_phase=on_phase,
            connect_timeout_s=connect_timeout_s,
            on_sampler=on_sampler,
        )
    url = url_of(target, request, credential)
    proxy = proxy_for(url)
    may_be_sent(credential, url)
    headers = request.headers | credential.authorization(target.auth, url, proxied=proxy is not None)
    return exchange(
        HttpRequest(request.method, url, headers, request.body),
        on_phase=on_phase,
        ssl_context=network.ssl_context,
        connect_timeout_s=connect_timeout_s,
        proxy=proxy,
        on_sampler=on_sampler,
    )


def may_be_sent(credential: Credential, url: str) -> None:
    """Raise :class:`NotSentError` unless the key may go to ``url``, the way it would take from here."""
    try:
        credential.check(url, proxied=proxy_for(url) is not None)
    except UsageError as error:
        raise NotSentError(StreamError("key-withheld", str(error))) from None


async def prepare(target: Target, credential: Credential, network: Shared, limit_s: float) -> None:
    """Make clients and fetch credentials now, not while the first attempt is being measured."""
    if dialect(target.dialect).transport == "aws":
        await network.bedrock.prepare(credential, aws.endpoint_of(target, credential.by_env), limit_s)
