"""Recordings of Rust's httpmock: YAML documents of ``when`` and ``then``."""

from __future__ import annotations

import re
from typing import Any

from kmon.dialects.json_access import count, members, text
from kmon.recording.exchange import interaction, unbase64
from kmon.recording.formats.format import Format
from kmon.recording.formats.vcr import message_body
from kmon.recording.interaction import Interaction, Request, headers_of
from kmon.recording.source import Source

_KEYS = (re.compile(rb"(?m)^when:"), re.compile(rb"(?m)^then:"))


def _looks_like(source: Source) -> bool:
    return all(map(source.is_yaml_with, _KEYS))


def _read(source: Source) -> list[Interaction]:
    from kmon.recording.yaml_documents import documents  # here, because help needs no YAML

    found = [members(document) for document in documents(source.data)]
    return [_interaction(index, entry) for index, entry in enumerate(found) if "then" in entry]


def _interaction(index: int, entry: dict[str, Any]) -> Interaction:
    when, then = members(entry.get("when")), members(entry.get("then"))
    request = Request(text(when.get("method")), text(when.get("path")), {}, message_body(when))
    encoded = then.get("body_base64")
    body = message_body(then) or (unbase64(encoded) if encoded else b"")
    return interaction(index, request, count(then.get("status")), headers_of(then.get("header")), body)


HTTPMOCK = Format("httpmock recordings", _looks_like, _read)
