"""What ``tcpdump -A`` and ``ngrep -W byline`` print: a line for each packet with its time, and its bytes as text.

The text shows a dot for each byte outside ASCII, and the head of a packet runs into its content. So only whole lines of
events are taken, and a stream of which a packet cuts an event is refused: nothing may be said of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kmon.dialects.json_access import parsed
from kmon.recording.formats.event_lines import Line, streams_of
from kmon.recording.formats.format import Format
from kmon.recording.formats.stamps import Clock, stamp_in
from kmon.recording.interaction import Interaction
from kmon.recording.source import Source

SAMPLE_BYTES = 64 * 1024
_PACKET = re.compile(
    rb"(?m)^(?:(?P<tcpdump>(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\.\d+ )IP6? (?P<from>\S+) > \S+: Flags |"
    rb"T (?P<ngrep>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d+ )?(?P<source>\S+) -> \S+ \[[A-Z]+\])[^\n]*\n"
)
_ANSWER = re.compile(rb"HTTP/1\.\d \d{3} ")
_FIELD = re.compile(rb"(?m)^(?:data|event|id|retry):[^\r\n]*")
_INSIDE = re.compile(rb"data: ?(?:\{|\[DONE\])|event: ?\w")
HEAD_BYTES = 140
"""So far into a packet its content begins: IPv6 with the options of TCP, and the first field."""
SAVE = "write the packets with -w, and save 'tshark -q -z follow,tcp,yaml,0 -r FILE'"


def _looks_like(source: Source) -> bool:
    return _PACKET.search(source.data[:SAMPLE_BYTES]) is not None


def _read(source: Source) -> list[Interaction]:
    lines = list(_lines(source.data))
    for line, _ in lines:
        content = line.removeprefix(b"data:").strip()
        if content.startswith(b"{") and not _is_json(content):
            raise ValueError(f"it is what a packet tool prints, and a packet cuts an event in it; {SAVE}")
    if not (found := streams_of(lines)):
        raise ValueError(f"it is what a packet tool prints, without a stream as text in it; {SAVE}")
    return found


def _lines(data: bytes) -> Iterator[Line]:
    """The lines of events that the side which answers sent."""
    packets = list(_PACKET.finditer(data))
    ends = [packet.start() for packet in packets[1:]] + [len(data)]
    contents = [data[packet.end() : end] for packet, end in zip(packets, ends, strict=True)]
    answering = {_source(packet) for packet, said in zip(packets, contents, strict=True) if _ANSWER.search(said)}
    clock = Clock()
    for packet, said in zip(packets, contents, strict=True):
        stamp = stamp_in(packet["tcpdump"] or packet["ngrep"] or b"")
        ms = None if stamp is None else clock.ms(stamp)
        if answering and _source(packet) not in answering:
            continue
        begun = _INSIDE.search(said, 0, HEAD_BYTES)
        at = begun.start() if begun else 0
        for line in _FIELD.findall(said[at:]):
            yield line.rstrip() + b"\n", ms


def _source(packet: re.Match[bytes]) -> bytes:
    return packet["from"] or packet["source"] or b""


def _is_json(content: bytes) -> bool:
    try:
        parsed(content)
    except ValueError:
        return False
    return True


PACKET_TEXT = Format("packets as tcpdump -A and ngrep -W byline print them", _looks_like, _read)
