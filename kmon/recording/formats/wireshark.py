"""Followed streams of Wireshark and tshark that keep their packets: YAML, hex dumps, raw, and tshark's ASCII.

The packets of both sides are joined in their order and read as HTTP/1. YAML also has the time of each packet.
"""

from __future__ import annotations

import re

from kmon.dialects.json_access import items, members
from kmon.recording.arrivals import marked
from kmon.recording.exchange import unbase64
from kmon.recording.formats.format import Format
from kmon.recording.http_dialogue import interactions_of
from kmon.recording.interaction import Interaction
from kmon.recording.source import Source

_YAML_KEYS = re.compile(rb"(?m)^packets:")
_TSHARK = re.compile(rb"\s*={10,}\r?\nFollow: [\w.]+,(\w+)\r?\n(?:(?:Filter|Node \d)[^\n]*\n|[ \t]*\r?\n)*")
_RULE = re.compile(rb"(?m)^={10,}\r?$")
_LENGTH = re.compile(rb"\t?(\d{1,9})\r?\n")
_HEX_ROW = re.compile(rb"(?m)^[ \t]*([0-9A-Fa-f]{8})  ((?:[0-9A-Fa-f]{2} {1,2}){1,16})")
_RAW_ROW = re.compile(rb"(?m)^\t?((?:[0-9A-Fa-f]{2})+)\r?$")

Pieces = list[tuple[bytes, float | None]]


def _looks_like_yaml(source: Source) -> bool:
    return source.is_yaml_with(_YAML_KEYS)


def _read_yaml(source: Source) -> list[Interaction]:
    from kmon.recording.yaml_documents import documents  # here, because help needs no YAML

    pieces: Pieces = []
    for document in documents(source.data):
        for packet in map(members, items(members(document).get("packets"))):
            data, stamp = packet.get("data"), packet.get("timestamp")
            content = data if isinstance(data, bytes) else unbase64(data) if data else b""
            pieces.append((content, float(stamp) * 1e3 if isinstance(stamp, int | float) else None))
    return _interactions(pieces)


def _looks_like_text(source: Source) -> bool:
    return _TSHARK.match(source.data) is not None or _HEX_ROW.match(source.data) is not None


def _read_text(source: Source) -> list[Interaction]:
    head = _TSHARK.match(source.data)
    if head is None:
        return _interactions(_hex_rows(source.data))
    data = source.data[head.end() :]
    ended = None if head[1] == b"ascii" else _RULE.search(data)
    data = data if ended is None else data[: ended.start()]
    if head[1] == b"ascii":
        return _interactions(_lengths(data))
    if head[1] == b"raw":
        return _interactions([(bytes.fromhex(row.decode()), None) for row in _RAW_ROW.findall(data)])
    return _interactions(_hex_rows(data))


def _lengths(data: bytes) -> Pieces:
    """Each packet after a line with its length, which is indented for the second side."""
    found: Pieces = []
    at = 0
    while (length := _LENGTH.match(data, at)) is not None:
        end = length.end() + int(length[1])
        found.append((data[length.end() : end], None))
        at = end + 1 if data[end : end + 1] == b"\n" else end
    return found


def _hex_rows(data: bytes) -> Pieces:
    return [(bytes.fromhex(found[2].decode()), None) for found in _HEX_ROW.finditer(data)]


def _interactions(pieces: Pieces) -> list[Interaction]:
    found = interactions_of(*marked(pieces))
    if not found:
        raise ValueError(
            "it is a followed stream of Wireshark without HTTP/1 text in it; decrypt it, or follow the HTTP stream"
        )
    return found


WIRESHARK_YAML = Format("Wireshark's followed streams in YAML", _looks_like_yaml, _read_yaml)
WIRESHARK_TEXT = Format("Wireshark's and tshark's followed streams", _looks_like_text, _read_text)
