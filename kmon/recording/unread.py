"""What a file looks like that no format reads, in a sentence that says what to save instead."""

from __future__ import annotations

import re

from kmon.dialects.bounds import one_line
from kmon.dialects.json_access import items, members
from kmon.dialects.text import clean
from kmon.recording.source import Source

SAMPLE_BYTES = 4096
KEYS_SHOWN = 5

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xd4\xc3\xb2\xa1", "it is a packet capture; follow its HTTP stream in Wireshark and save that as YAML"),
    (b"\xa1\xb2\xc3\xd4", "it is a packet capture; follow its HTTP stream in Wireshark and save that as YAML"),
    (b"\x4d\x3c\xb2\xa1", "it is a packet capture; follow its HTTP stream in Wireshark and save that as YAML"),
    (b"\xa1\xb2\x3c\x4d", "it is a packet capture; follow its HTTP stream in Wireshark and save that as YAML"),
    (b"\x0a\x0d\x0d\x0a", "it is a packet capture; follow its HTTP stream in Wireshark and save that as YAML"),
    (b"7z\xbc\xaf", "it is a 7z archive; unpack it"),
    (b"Rar!", "it is a RAR archive; unpack it"),
    (b"SQLite format 3\0", "it is a SQLite database; export what it recorded, as HAR or as lines of JSON"),
    (b"\xac\xed\x00\x05", "it is a binary session of Charles; export it as HAR or as JSON"),
    (b"bplist00", "it is a binary property list; export a HAR"),
    (b"%PDF", "it is a PDF; save the text of the stream"),
    (b"\x89PNG", "it is a picture; save the text of the stream"),
    (b"\xff\xd8\xff", "it is a picture; save the text of the stream"),
    (b"GIF8", "it is a picture; save the text of the stream"),
    (b"\x16\x03", "it is encrypted TLS; save the output of curl -i, or a HAR"),
    (b"PRI * HTTP/2.0", "it is binary HTTP/2; save the output of curl -i, or a HAR"),
)
_TAR_AT, _TAR = 257, b"ustar"
_HTML = re.compile(rb"(?i)\s*(?:<!doctype html|<html)")
_XML = re.compile(rb"\s*<(?:\?xml|[A-Za-z])")
_LOG = re.compile(rb"(?m)^.{0,60}\b(?:DEBUG|INFO|WARN(?:ING)?|ERROR|TRACE)\b")


def what_it_is(source: Source) -> str:
    """A clause for "FILE is no recording that kmon reads: ...": what it looks like, and what to do."""
    start = source.data[:SAMPLE_BYTES]
    for magic, sentence in _MAGIC:
        if start.startswith(magic):
            return sentence
    if start[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        return "it is a tar archive; unpack it"
    if source.is_json:
        return _json(source)
    if b"\0" in start:
        return "it is binary, of no kind that kmon knows"
    if _HTML.match(start):
        return "it is a web page; save the answer itself, or name the file *.body if that is the answer"
    if _XML.match(start):
        return "it is XML; export a HAR instead"
    if _LOG.search(start):
        return "it is a program's log; save the body of the answer, or the chunks as one JSON object per line"
    return "it is text, and no stream; save what curl -iN prints, or a HAR"


def _json(source: Source) -> str:
    value = source.json or source.rows
    if not value:
        return "it is JSON that is empty, cut or damaged, or nested too deeply; save it again"
    listed = isinstance(value, list)
    object_ = members(next(iter(items(value)), None)) if listed else members(value)
    if (
        any("message" in members(choice) for choice in items(object_.get("choices")))
        or object_.get("type") == "message"
    ):
        return 'it is a whole answer, not a stream; ask with "stream": true and save the body'
    keys = [repr(one_line(clean(str(key)), 40)) for key in list(object_)[:KEYS_SHOWN]]
    kind = "a JSON list" if listed else "a JSON object"
    return f"it is {kind}{' of objects' if listed and keys else ''} with {', '.join(keys)}" if keys else f"it is {kind}"
