"""All measurements of one target: lookups, connections to every address, exchanges, and the certificate."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from kmon.address import is_loopback
from kmon.catalog.aws import base_url_of
from kmon.catalog.credential import Credential
from kmon.catalog.environment import Environment
from kmon.catalog.keys import credential, credential_variables, key_problem, key_source
from kmon.catalog.trust import Trust
from kmon.dialects.registry import dialect
from kmon.doctor.certificates import Certificate, read_certificate
from kmon.doctor.dns import Lookup, look_up
from kmon.doctor.endpoint import Exchange, Question, ask, peek
from kmon.doctor.model_list import Check, Heard, judged, list_url
from kmon.doctor.proxies import fit
from kmon.doctor.repeat import five
from kmon.doctor.tcp import Reach, reach_all
from kmon.model import Target
from kmon.probe.request_secrets import own_keys
from kmon.stream.sanitize import Sanitizer
from kmon.transport.proxy import proxy_for, secrets

DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
REFUSALS = (401, 403)


class Examination(Struct, frozen=True, kw_only=True):
    """What was measured of one target. Nothing in it is secret or unclean."""

    target: str
    model: str
    url: str
    """What was asked."""
    host: str
    port: int
    """Where the connections go: the endpoint, or the proxy before it."""
    local: bool
    """Whether that is this machine."""
    expected: bool
    """Whether anybody was expected to answer: a local server nobody named may be down."""
    proxy: str | None = None
    key: str | None = None
    """Where the key was found; None without one."""
    key_proven: bool | None = None
    """Whether the endpoint refuses those who have no key; None if that was not asked."""
    lookups: tuple[Lookup, ...] = ()
    reaches: tuple[Reach, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    certificate: Certificate | None = None
    check: Check
    """What ``GET /models`` said, or why it was not asked."""


async def examine(
    target: Target, env: Environment, trust: Trust, context: ssl.SSLContext, limit_s: float, *, named: bool
) -> Examination:
    """Measure the way to ``target``; every step of every try has ``limit_s``.

    Nothing that costs is sent: chat targets are asked for their list of models, others for their base URL, without
    the key. Raises :class:`UsageError` for a proxy in the environment that cannot be used, and where a project's file
    would have a key sent to a host that the user has not allowed.
    """
    question, check = _question(target, env, trust)
    host, port = _peer(question)
    start = Examination(
        target=target.name,
        model=target.model,
        url=question.url,
        host=host,
        port=port,
        local=is_loopback(target.base_url),
        expected=named or not is_loopback(target.base_url),
        proxy=None if question.proxy is None else fit(question.proxy),
        key=key_source(target, env),
        check=check or Check("skipped", "not asked"),
    )
    lookups = await five(lambda: look_up(host, port, limit_s))
    addresses = next((lookup.addresses for lookup in lookups if lookup.addresses), ())
    reaches = await reach_all(addresses, limit_s)
    found = replace(start, lookups=lookups, reaches=reaches)
    if not any(reach.connects for reach in reaches):
        return found
    exchanges, heard = await _five_exchanges(question, context, limit_s)
    found = replace(found, exchanges=exchanges, certificate=await _certificate(question, exchanges, limit_s))
    if check is not None or heard is None:
        return found
    verdict = judged(target, heard, question.safe)
    proven = await _proven(question, context, limit_s) if verdict.state == "ok" and found.key else None
    return replace(found, check=verdict, key_proven=proven)


async def _five_exchanges(
    question: Question, context: ssl.SSLContext, limit_s: float
) -> tuple[tuple[Exchange, ...], Heard | None]:
    """Five exchanges, and the one answer that was read as a whole: a list of models may be a megabyte."""
    whole: list[Heard] = []

    async def one() -> Exchange:
        result = await ask(question, context, limit_s, read_body=not whole)
        if result.heard is not None:
            whole.append(result.heard)
        return replace(result, heard=None)

    return await five(one), next(iter(whole), None)


async def _proven(question: Question, context: ssl.SSLContext, limit_s: float) -> bool | None:
    """Ask once more without the key: where everybody is given the list, it proves nothing about the key."""
    bare = Question(url=question.url, headers={}, proxy=question.proxy, safe=question.safe)
    status = (await ask(bare, context, limit_s, read_body=False)).status
    return None if status is None else status in REFUSALS


async def _certificate(question: Question, exchanges: tuple[Exchange, ...], limit_s: float) -> Certificate | None:
    der = next((each.certificate for each in exchanges if each.certificate), None)
    if der is None and question.proxy is None and any(each.failed_at == "tls" for each in exchanges):
        parts = urlsplit(question.url)
        der = await peek(parts.hostname or "", parts.port or DEFAULT_PORTS["https"], limit_s)
    try:
        found = None if der is None else read_certificate(der)
    except ValueError:
        return None
    return None if found is None else replace(found, issuer=question.safe.redacted(found.issuer))


def _question(target: Target, env: Environment, trust: Trust) -> tuple[Question, Check | None]:
    """What to ask, and the check where it is settled without asking for the models.

    Raises :class:`UntrustedHostError`.
    """
    problem = key_problem(target, env)
    held = Credential(credential_variables(target, env)) if problem else credential(target, env, trust)
    base_url = base_url_of(target, held.by_env)
    if dialect(target.dialect).websocket:  # the port and the path are asked as HTTP, which a WebSocket server answers
        base_url = "http" + base_url.removeprefix("ws")
    models = list_url(target, base_url)
    url = models or f"{base_url}/"
    proxy = proxy_for(url)
    headers: dict[str, str] = {}
    if models and problem is None:
        headers = {**target.headers, **held.authorization(target.auth, url, proxied=proxy is not None)}
    safe = Sanitizer(target.name, 1, secrets=(*held.secrets, *own_keys(target), *secrets(proxy)))
    check: Check | None = None
    if problem:
        check = Check("failed", problem)
    elif models is None:
        check = Check("skipped", "there is no list of models to ask with it; race it with --scenario minimal")
    return Question(url=url, headers=headers, proxy=proxy, safe=safe), check


def _peer(question: Question) -> tuple[str, int]:
    """Host and port of whoever is connected to: the endpoint, or the proxy before it."""
    parts = urlsplit(question.proxy or question.url)
    return parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
