"""Judges the response to ``GET /models``: whether the key is accepted and the model is listed."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Literal

import msgspec

from kmon.address import over_http
from kmon.dialects.bounds import NAME_LIMIT_CHARS
from kmon.dialects.dialect import HttpDialect
from kmon.dialects.http_answer import answer_error
from kmon.dialects.registry import dialect, http_dialect
from kmon.format import plural
from kmon.model import Target
from kmon.stream.sanitize import Sanitizer

BODY_LIMIT_BYTES = 8 << 20
"""Limit of a list of models; OpenRouter's has about 1 MB."""


@dataclass(frozen=True, slots=True)
class ModelListCheck:
    """The result for one target. ``skipped``: no request was sent, or a local server that was not named is down."""

    state: Literal["ok", "failed", "skipped"]
    sentence: str
    models: int | None = None
    listed: bool | None = None
    """Whether the target's model is in the list; None if there is no list."""
    status: int | None = None
    duration_ms: float | None = None

    def described(self) -> dict[str, object]:
        """The fields as members of a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ModelListResponse:
    """A response with its whole body."""

    status: int
    content_type: str
    headers: dict[str, str]
    body: bytes


def list_url(target: Target, base_url: str) -> str | None:
    """The URL of the list of models under ``base_url``; None if the target's dialect has none."""
    spoken = dialect(target.dialect)
    return spoken.models_url(over_http(base_url)) if isinstance(spoken, HttpDialect) else None


def check_of(target: Target, response: ModelListResponse, safe: Sanitizer) -> ModelListCheck:
    """The result of a response for ``target``; ``safe`` removes secrets from all that is quoted from it."""
    spoken = http_dialect(target.dialect)
    if response.status != 200:
        return _refused(response, safe, spoken)
    try:
        ids = spoken.models_in(msgspec.json.decode(response.body))
    except (msgspec.DecodeError, RecursionError):
        ids = None
    if ids is None:
        where = list_url(target, target.base_url)
        return ModelListCheck("failed", f"{where} answered something that is no list of models", status=response.status)
    return _found(target, ids, safe)


def status_words(status: int) -> str:
    """``404 Not Found``; the number alone for an unknown status."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _refused(response: ModelListResponse, safe: Sanitizer, spoken: HttpDialect) -> ModelListCheck:
    error = safe.error(
        answer_error(response.status, response.content_type, response.headers, response.body, spoken=spoken)
    )
    words = {401: "the key was refused", 403: "the key may not do this", 404: "there is no list of models here"}
    problem = words.get(response.status, "not now" if response.status == 429 else "the list of models was not given")
    return ModelListCheck("failed", f"{problem}: {' '.join(error.message.split())}", status=response.status)


def _found(target: Target, ids: list[str], safe: Sanitizer) -> ModelListCheck:
    count = plural(len(ids), "model")
    if target.model in ids:
        return ModelListCheck("ok", f"{count}, {target.model} among them", len(ids), True, 200)
    near = difflib.get_close_matches(target.model, ids, n=1, cutoff=0.5)
    hint = f"; close to {safe.redacted(near[0], NAME_LIMIT_CHARS)}" if near else ""
    return ModelListCheck("ok", f"{count}, but {target.model} is not listed{hint}", len(ids), False, 200)
