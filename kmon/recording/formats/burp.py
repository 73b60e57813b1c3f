"""Items saved from Burp Suite: XML with each request and answer as HTTP/1 text, usually in base64."""

from __future__ import annotations

import re
from html import unescape

from kmon.recording.exchange import unbase64
from kmon.recording.formats.format import Format
from kmon.recording.http_dialogue import interactions_of
from kmon.recording.interaction import Interaction
from kmon.recording.source import Source

_ITEMS = re.compile(rb"<items [^>]*burpVersion=")
_MESSAGE = re.compile(
    rb"(?s)<(request|response)(?: base64=\"(true|false)\")?>\s*(?:<!\[CDATA\[(.*?)\]\]>|([^<]*))\s*</\1>"
)
SAMPLE_BYTES = 64 * 1024


def _looks_like(source: Source) -> bool:
    return _ITEMS.search(source.data[:SAMPLE_BYTES]) is not None


def _read(source: Source) -> list[Interaction]:
    messages = (_content(found) for found in _MESSAGE.finditer(source.data))
    return interactions_of(b"\r\n".join(messages))


def _content(found: re.Match[bytes]) -> bytes:
    said = found[3] if found[3] is not None else unescape(found[4].decode("utf-8", "replace")).encode()
    return unbase64(said) if found[2] == b"true" else said


BURP = Format("items saved from Burp Suite", _looks_like, _read)
