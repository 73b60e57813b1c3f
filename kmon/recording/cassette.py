"""Reads cassettes of HTTP recorders: go-vcr, vcrpy, httpmock, req_llm."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from typing import Any

from kmon.dialects.json_access import count, items, members, text
from kmon.recording.interaction import Interaction, Request, headers_of
from kmon.recording.sniff import dialect_of, is_stream

BODY_LIMIT_BYTES = 64 * 1024 * 1024

_GO_DURATION = re.compile(r"(\d+(?:\.\d*)?)(ns|us|µs|μs|ms|s|m|h)")
_GO_UNIT_MS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}


def interactions_of(docs: list[Any]) -> list[Interaction] | None:
    """The interactions of a cassette's documents; None if it is no cassette. Raises ``ValueError`` if it is broken."""
    first = members(docs[0]) if docs else {}
    if isinstance(first.get("interactions"), list):
        entries = [_vcr(members(entry)) for entry in first["interactions"]]
    elif "chunks" in first and "request" in first:
        entries = [_req_llm(first)]
    elif docs and all("then" in members(doc) for doc in docs):
        entries = [_httpmock(doc) for doc in docs]
    else:
        return None
    return [interaction(index, *entry) for index, entry in enumerate(entries)]


def interaction(
    index: int,
    request: Request,
    status: int | None,
    headers: dict[str, str],
    body: bytes,
    duration_ms: float | None = None,
) -> Interaction:
    """An interaction, with its dialect and streaming flag determined from the body and the URL."""
    streaming = is_stream(headers.get("content-type", "").partition(";")[0].strip().lower(), body)
    return Interaction(
        index,
        request,
        status,
        headers,
        body,
        dialect_of(request.url, body),
        streaming or request.wants_stream,
        duration_ms,
    )


_Entry = tuple[Request, int | None, dict[str, str], bytes, float | None]


def _vcr(entry: dict[str, Any]) -> _Entry:
    """An entry of go-vcr (``url``, ``code``, ``duration``) or vcrpy (``uri``, ``status.code``, ``body.string``)."""
    request, response = members(entry.get("request")), members(entry.get("response"))
    if not response:
        raise ValueError("an interaction has no response")
    status = response.get("status")
    code = count(response.get("code")) or count(response.get("status_code"))
    if code is None:
        code = count(members(status).get("code")) if isinstance(status, dict) else _leading_number(status)
    headers = headers_of(response.get("headers"))
    body = _decompressed(_body(response), headers)
    return _request(request), code, headers, body, _duration_ms(response.get("duration"))


def _req_llm(entry: dict[str, Any]) -> _Entry:
    response = members(entry.get("response"))
    body = b"".join(_body({"body": chunk}) for chunk in items(entry.get("chunks"))) or _body(response)
    return (
        _request(members(entry.get("request"))),
        count(response.get("status")),
        headers_of(response.get("headers")),
        body,
        None,
    )


def _httpmock(entry: dict[str, Any]) -> _Entry:
    when, then = members(entry.get("when")), members(entry.get("then"))
    named = {text(one.get("name")): one.get("value") for one in map(members, items(then.get("header")))}
    request = Request(text(when.get("method")), text(when.get("path")), {}, _body(when))
    body = _body(then) or _body({"body": {"b64": then.get("body_base64")}})
    return request, count(then.get("status")), headers_of(named), body, None


def _request(fields: dict[str, Any]) -> Request:
    url = text(fields.get("url")) or text(fields.get("uri"))
    return Request(text(fields.get("method")), url, headers_of(fields.get("headers")), _body(fields))


def _body(message: dict[str, Any]) -> bytes:
    """The body of a message: text, bytes, ``{string: ...}``, base64, or parsed JSON."""
    body = message.get("body")
    if isinstance(body, dict):
        encoded = body.get("base64_string") or body.get("b64")
        if encoded:
            return _unbase64(encoded)
        body = body.get("string", body or None)
    if body is None or body in ("", b""):
        body = message.get("parsed_body", body)
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "replace")
    return b"" if body is None else json.dumps(body, ensure_ascii=False, default=str).encode("utf-8", "replace")


def _unbase64(encoded: object) -> bytes:
    try:
        return base64.b64decode(encoded if isinstance(encoded, bytes) else text(encoded).encode())
    except (binascii.Error, ValueError):
        raise ValueError("a body is not valid base64") from None


def _decompressed(body: bytes, headers: dict[str, str]) -> bytes:
    """Undo gzip and deflate. A body that some recorders stored decoded, with its header kept, is returned as it is."""
    encoding = headers.get("content-encoding", "").lower()
    if not body.startswith(b"\x1f\x8b") and "deflate" not in encoding:
        return body
    decompressor = zlib.decompressobj(wbits=47)  # 32 + 15: gzip or zlib, detected from the data
    try:
        plain = decompressor.decompress(body, BODY_LIMIT_BYTES)
    except zlib.error:
        return body
    if decompressor.unconsumed_tail:
        raise ValueError(f"a compressed body expands to more than {BODY_LIMIT_BYTES // 2**20} MiB")
    return plain


def _leading_number(status: object) -> int | None:
    found = re.match(r"\d{3}\b", str(status)) if status is not None else None
    return int(found[0]) if found else None


def _duration_ms(value: object) -> float | None:
    """A duration of Go (``1m2.5s``, ``276.457041ms``, or nanoseconds as a number) in ms; None if it is not recorded."""
    if isinstance(value, str):
        value = sum(float(n) * _GO_UNIT_MS[unit] for n, unit in _GO_DURATION.findall(value)) * 1e6
    nanoseconds = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
    return nanoseconds / 1e6 if 0 < nanoseconds < 1e18 else None
