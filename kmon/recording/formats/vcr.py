"""Cassettes of the VCR family: go-vcr, vcrpy of any age, Ruby and R VCR, Betamax, php-vcr, ExVCR, and their JSON forms.

All are a list of a request and a response; they differ in the names of the members and in how a body is written.
"""

from __future__ import annotations

import re
from typing import Any

from kmon.dialects.json_access import count, items, members, text
from kmon.recording.exchange import body_bytes, interaction, leading_status, unbase64
from kmon.recording.formats.format import Format
from kmon.recording.interaction import Interaction, Request, headers_of
from kmon.recording.source import Source

_LISTS = ("interactions", "http_interactions")
_LIST_KEY = re.compile(rb"(?m)^[ \t]*[\"']?(?:http_interactions|interactions)[\"']?[ \t]*:")
_ENTRY_KEYS = tuple(
    re.compile(rb"(?m)^[ \t]*(?:- )?[\"']?%b[\"']?[ \t]*:" % name) for name in (b"request", b"response")
)
_GO_DURATION = re.compile(r"(\d+(?:\.\d*)?)(ns|us|µs|μs|ms|s|m|h)")
_GO_UNIT_MS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
_ERLANG_BINARY = b"\x83m"
_ERLANG_HEAD_BYTES = 6


def _looks_like_json(source: Source) -> bool:
    return _entries(source.json) is not None


def _read_json(source: Source) -> list[Interaction]:
    return _interactions(_entries(source.json) or [])


def _looks_like_yaml(source: Source) -> bool:
    return source.is_yaml_with(_LIST_KEY) or all(map(source.is_yaml_with, _ENTRY_KEYS))


def _read_yaml(source: Source) -> list[Interaction]:
    from kmon.recording.yaml_documents import documents  # here, because help needs no YAML

    found = documents(source.data)
    return _interactions([entry for document in found for entry in _entries(document) or []])


def _entries(document: object) -> list[dict[str, Any]] | None:
    """The entries of a cassette: under a key, or the document itself (php-vcr, ExVCR). None if it is none."""
    for key in _LISTS:
        if isinstance(found := members(document).get(key), list):
            return [members(entry) for entry in found]
    listed = items(document)
    return [members(entry) for entry in listed] if listed and all(map(_is_entry, listed)) else None


def _is_entry(value: object) -> bool:
    entry = members(value)
    return isinstance(entry.get("response"), dict) and "request" in entry


def _interactions(entries: list[dict[str, Any]]) -> list[Interaction]:
    return [_interaction(index, entry) for index, entry in enumerate(entries)]


def _interaction(index: int, entry: dict[str, Any]) -> Interaction:
    request, response = members(entry.get("request")), members(entry.get("response"))
    if not response:
        raise ValueError("an interaction has no response")
    return interaction(
        index,
        _request(request),
        _status(response),
        headers_of(response.get("headers")),
        message_body(response),
        _duration_ms(response.get("duration")),
    )


def _status(response: dict[str, Any]) -> int | None:
    """``code`` of go-vcr, ``status_code`` of ExVCR and old vcrpy, ``status.code``, or a number at the start of it."""
    status = response.get("status")
    code = count(response.get("code")) or count(response.get("status_code"))
    if code is None and isinstance(status, dict):
        return count(status.get("code")) or leading_status(status.get("code"))
    return leading_status(status) if code is None else code


def _request(fields: dict[str, Any]) -> Request:
    url = text(fields.get("url")) or text(fields.get("uri"))
    body = message_body(fields) or body_bytes(fields.get("request_body"))
    return Request(text(fields.get("method")).upper(), url, headers_of(fields.get("headers")), body)


def message_body(message: dict[str, Any]) -> bytes:
    """The body of a message: text, bytes, ``{string: ...}``, base64, or parsed JSON.

    vcrpy wrote it under ``content`` for some years, and ExVCR writes bytes that are no text as an Erlang term.
    """
    body = message.get("body")
    if isinstance(body, dict):
        encoded = body.get("base64_string") or body.get("b64")
        if encoded:
            return unbase64(encoded)
        body = body.get("string", body or None)
    if message.get("binary") is True and isinstance(body, str):
        term = unbase64(body)
        return term[_ERLANG_HEAD_BYTES:] if term.startswith(_ERLANG_BINARY) else term
    if body is None or body in ("", b""):
        body = message.get("parsed_body", message.get("content", body))
    return body_bytes(body)


def _duration_ms(value: object) -> float | None:
    """A duration of Go (``1m2.5s``, ``276.457041ms``, or nanoseconds as a number) in ms; None if it is not recorded."""
    if isinstance(value, str):
        value = sum(float(n) * _GO_UNIT_MS[unit] for n, unit in _GO_DURATION.findall(value)) * 1e6
    nanoseconds = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
    return nanoseconds / 1e6 if 0 < nanoseconds < 1e18 else None


VCR_JSON = Format("cassettes in JSON (vcrpy, Betamax, php-vcr, ExVCR)", _looks_like_json, _read_json)
VCR_YAML = Format("cassettes in YAML (go-vcr, vcrpy, Ruby and R VCR, php-vcr)", _looks_like_yaml, _read_yaml)
