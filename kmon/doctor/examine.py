"""Measures one target: DNS lookups, connections to each address, HTTP exchanges, and the certificate."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from kmon.address import is_loopback, over_http
from kmon.catalog.aws import base_url_of
from kmon.catalog.credential import Credential
from kmon.catalog.environment import Environment
from kmon.catalog.keys import credential, credential_variables, key_problem, key_source
from kmon.catalog.trust import Trust
from kmon.catalog.url_variables import url_problem
from kmon.doctor.certificates import Certificate, read_certificate
from kmon.doctor.endpoint import EndpointRequest, Exchange, send, untrusted_certificate
from kmon.doctor.local_machine import shown_proxy
from kmon.doctor.model_list import ModelListCheck, ModelListResponse, check_of, list_url
from kmon.doctor.reach import Lookup, Reach, look_up, reach_all
from kmon.doctor.repeat import try_five_times
from kmon.errors import UsageError
from kmon.model import Target
from kmon.probe.request_secrets import own_keys
from kmon.stream.sanitize import Sanitizer
from kmon.transport.proxy import proxy_for, secrets

DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
REFUSALS = (401, 403)


class Examination(Struct, frozen=True, kw_only=True):
    """The measurements of one target. Texts hold no secrets and no control characters."""

    target: str
    model: str
    url: str
    """The URL requested."""
    host: str
    port: int
    """Peer of the connections: the endpoint, or the proxy before it."""
    local: bool
    """Whether the endpoint is on this machine."""
    expected: bool
    """Whether the endpoint must answer: False for a local server that the user did not name."""
    proxy: str | None = None
    key: str | None = None
    """Where the key was found; None without one."""
    key_proven: bool | None = None
    """Whether the endpoint refuses a request without the key; None if that was not tested."""
    lookups: tuple[Lookup, ...] = ()
    reaches: tuple[Reach, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    certificate: Certificate | None = None
    check: ModelListCheck
    """The result of ``GET /models``, or why it was not sent."""


async def examine(
    target: Target, env: Environment, trust: Trust, context: ssl.SSLContext, limit_s: float, *, named: bool
) -> Examination:
    """Measure each step to ``target``; ``limit_s`` applies to each step of each try.

    No request has a cost: GET of the list of models, or, if the dialect has none, of the base URL without the key.
    Raises :class:`UsageError` for a proxy of the environment or a variable of the base URL that cannot be used, and
    :class:`UntrustedHostError` if a project's file names a host for a key that the user has not allowed.
    """
    if problem := url_problem(target, env):
        raise UsageError(problem)
    request, check = _request(target, env, trust)
    host, port = _peer(request)
    start = Examination(
        target=target.name,
        model=target.model,
        url=request.url,
        host=host,
        port=port,
        local=is_loopback(target.base_url),
        expected=named or not is_loopback(target.base_url),
        proxy=None if request.proxy is None else shown_proxy(request.proxy),
        key=key_source(target, env),
        check=check or ModelListCheck("skipped", "not asked"),
    )
    lookups = await try_five_times(lambda: look_up(host, port, limit_s))
    addresses = next((lookup.addresses for lookup in lookups if lookup.addresses), ())
    reaches = await reach_all(addresses, limit_s)
    found = replace(start, lookups=lookups, reaches=reaches)
    if not any(reach.connects for reach in reaches):
        return found
    exchanges, response = await _five_exchanges(request, context, limit_s)
    found = replace(found, exchanges=exchanges, certificate=await _certificate(request, exchanges, limit_s))
    if check is not None or response is None:
        return found
    check_result = check_of(target, response, request.safe)
    proven = await _proven(request, context, limit_s) if check_result.state == "ok" and found.key else None
    return replace(found, check=check_result, key_proven=proven)


async def _five_exchanges(
    request: EndpointRequest, context: ssl.SSLContext, limit_s: float
) -> tuple[tuple[Exchange, ...], ModelListResponse | None]:
    """Five exchanges, and one response with its body: a list of models may have 1 MB, so it is read once."""
    bodies: list[ModelListResponse] = []

    async def one() -> Exchange:
        result = await send(request, context, limit_s, read_body=not bodies)
        if result.response is not None:
            bodies.append(result.response)
        return replace(result, response=None)

    return await try_five_times(one), next(iter(bodies), None)


async def _proven(request: EndpointRequest, context: ssl.SSLContext, limit_s: float) -> bool | None:
    """Whether the endpoint refuses the request without the key; if it does not, the list does not prove the key."""
    bare = EndpointRequest(url=request.url, headers={}, proxy=request.proxy, safe=request.safe)
    status = (await send(bare, context, limit_s, read_body=False)).status
    return None if status is None else status in REFUSALS


async def _certificate(request: EndpointRequest, exchanges: tuple[Exchange, ...], limit_s: float) -> Certificate | None:
    der = next((each.certificate for each in exchanges if each.certificate), None)
    if der is None and request.proxy is None and any(each.failed_at == "tls" for each in exchanges):
        parts = urlsplit(request.url)
        der = await untrusted_certificate(parts.hostname or "", parts.port or DEFAULT_PORTS["https"], limit_s)
    try:
        found = None if der is None else read_certificate(der)
    except ValueError:
        return None
    return None if found is None else replace(found, issuer=request.safe.redacted(found.issuer))


def _request(target: Target, env: Environment, trust: Trust) -> tuple[EndpointRequest, ModelListCheck | None]:
    """The request to send, and the check result if it needs no list of models. Raises :class:`UntrustedHostError`."""
    problem = key_problem(target, env)
    held = Credential(credential_variables(target, env)) if problem else credential(target, env, trust)
    base_url = over_http(base_url_of(target, held.by_env))
    models = list_url(target, base_url)
    url = models or f"{base_url}/"
    proxy = proxy_for(url)
    headers: dict[str, str] = {}
    if models and problem is None:
        headers = {**target.headers, **held.authorization(target.auth, url, proxied=proxy is not None)}
    safe = Sanitizer(target.name, 1, secrets=(*held.secrets, *own_keys(target), *secrets(proxy)))
    check: ModelListCheck | None = None
    if problem:
        check = ModelListCheck("failed", problem)
    elif models is None:
        check = ModelListCheck("skipped", "there is no list of models to ask with it; race it with --scenario minimal")
    return EndpointRequest(url=url, headers=headers, proxy=proxy, safe=safe), check


def _peer(request: EndpointRequest) -> tuple[str, int]:
    """Host and port of the TCP peer: the endpoint, or the proxy before it."""
    parts = urlsplit(request.proxy or request.url)
    return parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
