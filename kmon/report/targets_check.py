"""``kmon targets --check``: asks each target's ``GET /models`` whether the key is taken and the model is there."""

from __future__ import annotations

import asyncio
import difflib
import ssl
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import httpcore
import httpx
import msgspec

from kmon.catalog.address import is_loopback
from kmon.catalog.environment import Environment
from kmon.catalog.keys import key_problem, key_variable
from kmon.catalog.model import Target
from kmon.dialects.delta import StreamError
from kmon.probe.failure import answer_error
from kmon.probe.translate import Translator
from kmon.transport.errors import stream_error
from kmon.transport.http import Answer, exchange
from kmon.transport.proxy import proxy_for

LIMIT_S = 10.0
BODY_LIMIT_BYTES = 8 << 20
"""OpenRouter's list is about 1 MB."""
MODEL_LIMIT_CHARS = 120


@dataclass(frozen=True, slots=True)
class Check:
    """What came of asking one target. ``skipped`` means that nothing was asked, or nobody was expected to answer."""

    state: Literal["ok", "failed", "skipped"]
    sentence: str
    models: int | None = None
    listed: bool | None = None
    """Whether the target's model is in the list; None if there is no list."""
    status: int | None = None
    duration_ms: float | None = None

    def described(self) -> dict[str, object]:
        """The check as members of a JSON object."""
        return asdict(self)


async def check_targets(
    targets: Sequence[Target], env: Environment, *, named: bool, limit_s: float = LIMIT_S
) -> list[Check]:
    """Ask all targets at once, each within ``limit_s``; the answers come back in the order of ``targets``.

    Unless they were ``named``, targets without a key and local servers that are not running are skipped, not failed.
    """
    context = httpx.create_ssl_context()
    return await asyncio.gather(*(_check(target, env, context, named=named, limit_s=limit_s) for target in targets))


async def _check(target: Target, env: Environment, context: ssl.SSLContext, *, named: bool, limit_s: float) -> Check:
    variable = key_variable(target, env)
    if problem := key_problem(target, env):
        return Check("failed" if named or variable else "skipped", problem)
    if target.dialect != "chat":
        return Check("skipped", f"{target.base_url} has no list of models to ask; race it with --scenario minimal")
    key = env[variable] if variable else None
    safe = Translator(target.name, 1, secrets=(key,) if key else ())
    start_s = time.monotonic()
    try:
        async with asyncio.timeout(limit_s):
            result = await _ask(target, key, safe, context, limit_s)
    except TimeoutError:
        result = Check("failed", f"no answer from {target.base_url} within {limit_s:g} s")
    except (
        httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.ProxyError,
        httpcore.UnsupportedProtocol, httpx.HTTPError, OSError, ImportError, ValueError,
    ) as exc:  # fmt: skip
        error = stream_error(exc)
        absent = error.kind == "connect" and is_loopback(target.base_url) and not named
        result = Check("skipped" if absent else "failed", f"{target.base_url}: {safe.redacted(error.message)}")
    return replace(result, duration_ms=round((time.monotonic() - start_s) * 1000, 1))


async def _ask(target: Target, key: str | None, safe: Translator, context: ssl.SSLContext, limit_s: float) -> Check:
    url = f"{target.base_url}/models"
    credentials = {"Authorization": f"Bearer {key}"} if key else {}
    async with exchange(
        "GET",
        url,
        headers={"Accept": "application/json", **target.headers, **credentials},
        body=None,
        on_phase=lambda phase, t_ns, detail: None,
        ssl_context=context,
        connect_timeout_s=limit_s,
        proxy=proxy_for(url),
    ) as answer:
        body = await answer.body(BODY_LIMIT_BYTES, limit_s)
        if answer.status != 200:
            return _refused(answer, body, safe)
    ids = _model_ids(body)
    if ids is None:
        return Check("failed", f"{url} answered something that is no list of models", status=200)
    return _found(target, ids, safe)


def _refused(answer: Answer, body: bytes, safe: Translator) -> Check:
    error = safe.error(answer_error(answer.status, answer.content_type, answer.headers, body))
    words = {401: "the key was refused", 403: "the key may not do this", 404: "there is no list of models here"}
    said = words.get(answer.status, "not now" if answer.status == 429 else "the list of models was not given")
    return Check("failed", f"{said}: {_one_line(error)}", status=answer.status)


def _one_line(error: StreamError) -> str:
    return " ".join(error.message.split())


def _model_ids(body: bytes) -> list[str] | None:
    """The ids of ``{"data": [{"id": ...}]}`` or, as Together answers, of the bare list; None if it is neither."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    rows = found.get("data") if isinstance(found, dict) else found
    if not isinstance(rows, list):
        return None
    return [row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]


def _found(target: Target, ids: list[str], safe: Translator) -> Check:
    count = f"{len(ids)} model{'' if len(ids) == 1 else 's'}"
    if target.model in ids:
        return Check("ok", f"{count}, {target.model} among them", len(ids), True, 200)
    near = difflib.get_close_matches(target.model, ids, n=1, cutoff=0.5)
    hint = f"; close to {safe.redacted(near[0])[:MODEL_LIMIT_CHARS]}" if near else ""
    return Check("ok", f"{count}, but {target.model} is not listed{hint}", len(ids), False, 200)
