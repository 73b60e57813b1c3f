"""What an answer to ``GET /models`` says about the key and the model."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Literal

import msgspec

from kmon.dialects.bounds import NAME_LIMIT_CHARS
from kmon.dialects.dialect import HttpDialect
from kmon.dialects.http_answer import answer_error
from kmon.dialects.registry import dialect, http_dialect
from kmon.format import plural
from kmon.model import Target
from kmon.stream.sanitize import Sanitizer

BODY_LIMIT_BYTES = 8 << 20
"""OpenRouter's list is about 1 MB."""


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


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer that was read as a whole."""

    status: int
    content_type: str
    headers: dict[str, str]
    body: bytes


def list_url(target: Target, base_url: str) -> str | None:
    """Where the list of the target's models is, at ``base_url``; None where its dialect has none."""
    spoken = dialect(target.dialect)
    path = spoken.models_path if isinstance(spoken, HttpDialect) else None
    return None if path is None else base_url + path


def judged(target: Target, heard: Heard, safe: Sanitizer) -> Check:
    """What the answer means for ``target``; everything quoted from it is made safe."""
    spoken = http_dialect(target.dialect)
    if heard.status != 200:
        return _refused(heard, safe, spoken)
    try:
        ids = spoken.models_in(msgspec.json.decode(heard.body))
    except (msgspec.DecodeError, RecursionError):
        ids = None
    if ids is None:
        where = list_url(target, target.base_url)
        return Check("failed", f"{where} answered something that is no list of models", status=heard.status)
    return _found(target, ids, safe)


def status_words(status: int) -> str:
    """``404 Not Found``; the bare number for one that nobody has named."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _refused(heard: Heard, safe: Sanitizer, spoken: HttpDialect) -> Check:
    error = safe.error(answer_error(heard.status, heard.content_type, heard.headers, heard.body, spoken=spoken))
    words = {401: "the key was refused", 403: "the key may not do this", 404: "there is no list of models here"}
    said = words.get(heard.status, "not now" if heard.status == 429 else "the list of models was not given")
    return Check("failed", f"{said}: {' '.join(error.message.split())}", status=heard.status)


def _found(target: Target, ids: list[str], safe: Sanitizer) -> Check:
    count = plural(len(ids), "model")
    if target.model in ids:
        return Check("ok", f"{count}, {target.model} among them", len(ids), True, 200)
    near = difflib.get_close_matches(target.model, ids, n=1, cutoff=0.5)
    hint = f"; close to {safe.redacted(near[0], NAME_LIMIT_CHARS)}" if near else ""
    return Check("ok", f"{count}, but {target.model} is not listed{hint}", len(ids), False, 200)
