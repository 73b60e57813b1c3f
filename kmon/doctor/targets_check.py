"""Sends ``GET /models`` to each target, for ``kmon targets --check``."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from kmon.address import is_loopback
from kmon.catalog.credential import Credential
from kmon.catalog.environment import Environment
from kmon.catalog.keys import check_trust, credential, key_problem, key_variable
from kmon.catalog.trust import Trust
from kmon.dialects.bounds import MESSAGE_LIMIT_CHARS
from kmon.doctor.endpoint import BROKEN
from kmon.doctor.model_list import BODY_LIMIT_BYTES, ModelListCheck, ModelListResponse, check_of, list_url
from kmon.model import Target
from kmon.probe.request_secrets import own_keys
from kmon.stream.sanitize import Sanitizer
from kmon.transport.authorities import authorities
from kmon.transport.errors import stream_error
from kmon.transport.http import HttpRequest, exchange
from kmon.transport.proxy import proxy_for, secrets

LIMIT_S = 10.0


async def check_targets(
    targets: Sequence[Target], env: Environment, trust: Trust, *, named: bool, limit_s: float = LIMIT_S
) -> list[ModelListCheck]:
    """Check all targets at the same time, each within ``limit_s``. Returns the results in the order of ``targets``.

    If the targets were not ``named``, those without a key and local servers that are down are skipped, not failed.
    Raises :class:`UntrustedHostError`, before anything is sent, if a project's file names a host for a key that the
    user has not allowed.
    """
    check_trust(targets, env, trust)
    asked = [_Asked(target, env, trust, limit_s) for target in targets]
    context = authorities()
    return await asyncio.gather(*(_check(each, context, named=named) for each in asked))


class _Asked(NamedTuple):
    """One target to check, and what its request needs."""

    target: Target
    env: Environment
    trust: Trust
    limit_s: float


async def _check(asked: _Asked, context: ssl.SSLContext, *, named: bool) -> ModelListCheck:
    target, env, trust, limit_s = asked
    variable = key_variable(target, env)
    if problem := key_problem(target, env):
        return ModelListCheck("failed" if named or variable else "skipped", problem)
    url = list_url(target, target.base_url)
    if url is None:
        return ModelListCheck(
            "skipped", f"{target.base_url} has no list of models to ask; race it with --scenario minimal"
        )
    held = credential(target, env, trust)
    proxy = proxy_for(url)
    safe = Sanitizer(target.name, 1, secrets=(*held.secrets, *own_keys(target), *secrets(proxy)))
    start_s = time.monotonic()
    try:
        async with asyncio.timeout(limit_s):
            result = await _ask(asked, url, held, safe, context)
    except TimeoutError:
        result = ModelListCheck("failed", f"no answer from {target.base_url} within {limit_s:g} s")
    except BROKEN as exc:
        error = stream_error(exc)
        absent = error.kind == "connect" and is_loopback(target.base_url) and not named
        why = safe.redacted(error.message, MESSAGE_LIMIT_CHARS)
        result = ModelListCheck("skipped" if absent else "failed", f"{target.base_url}: {why}")
    return replace(result, duration_ms=round((time.monotonic() - start_s) * 1000, 1))


async def _ask(asked: _Asked, url: str, held: Credential, safe: Sanitizer, context: ssl.SSLContext) -> ModelListCheck:
    target, limit_s = asked.target, asked.limit_s
    proxy = proxy_for(url)
    credentials = held.authorization(target.auth, url, proxied=proxy is not None)
    async with exchange(
        HttpRequest("GET", url, {"Accept": "application/json", **target.headers, **credentials}),
        on_phase=lambda phase, t_ns, detail: None,
        ssl_context=context,
        connect_timeout_s=limit_s,
        proxy=proxy,
    ) as answer:
        body = await answer.body(BODY_LIMIT_BYTES, limit_s)
    response = ModelListResponse(answer.status, answer.content_type, dict(answer.headers), body)
    return check_of(target, response, safe)
