"""Compression of files and bodies is undone within bounds, and a missing package is named."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kmon.errors import UsageError
from kmon.recording import Request
from kmon.recording.arrivals import marked
from kmon.recording.compression import EXPANDED_LIMIT_BYTES, decoded_body
from kmon.recording.exchange import interaction
from tests.support.recorded_stream import EVENTS, HEAD, SSE, is_the_stream, recorded

BODY = SSE.encode()
Compress = Callable[[bytes], bytes]
FILES: dict[str, Compress] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
    "br": brotli.compress,
}


@pytest.mark.parametrize("ending", FILES)
def test_a_compressed_file(tmp_path: Path, ending: str) -> None:
    is_the_stream(recorded(tmp_path, FILES[ending](BODY), f"a.sse.{ending}")[0])


@pytest.mark.parametrize("ending", [ending for ending in FILES if ending != "br"])
def test_a_compressed_file_by_another_name(tmp_path: Path, ending: str) -> None:
    is_the_stream(recorded(tmp_path, FILES[ending](BODY), "a.txt")[0])


def test_a_file_in_two_layers_and_one_of_two_members(tmp_path: Path) -> None:
    is_the_stream(recorded(tmp_path, gzip.compress(brotli.compress(BODY)), "a.sse.br.gz")[0])
    is_the_stream(recorded(tmp_path, gzip.compress(BODY[:40]) + gzip.compress(BODY[40:]))[0])


def test_a_file_that_is_only_named_so(tmp_path: Path) -> None:
    is_the_stream(recorded(tmp_path, BODY, "a.gz")[0])
    is_the_stream(recorded(tmp_path, BODY, "a.br")[0])


def test_a_cut_file_gives_what_there_is(tmp_path: Path) -> None:
    assert recorded(tmp_path, gzip.compress(BODY * 40)[:-9])[0].body.startswith(BODY)


@pytest.mark.slow
@pytest.mark.parametrize("ending", FILES)
def test_a_file_that_expands_without_end_is_refused(tmp_path: Path, ending: str) -> None:
    bomb = FILES[ending](bytes(EXPANDED_LIMIT_BYTES + 1))
    with pytest.raises(UsageError, match="what is compressed expands to more than 64 MiB"):
        recorded(tmp_path, bomb, f"bomb.{ending}")


CODINGS: dict[str, Compress] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "deflate ": lambda data: zlib.compress(data, wbits=-15),
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_body_and_one_that_only_says_so(tmp_path: Path, coding: str) -> None:
    assert decoded_body(CODINGS[coding](BODY), coding) == BODY
    assert decoded_body(BODY, coding) == BODY
    head = HEAD.replace("\r\n\r\n", f"\r\ncontent-encoding: {coding}\r\n\r\n").encode()
    is_the_stream(recorded(tmp_path, head + CODINGS[coding](BODY))[0])


@pytest.mark.parametrize(("module", "coding"), [("brotli", "br"), ("zstandard", "zstd")])
def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, coding: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    ending = {"br": "br", "zstd": "zst"}[coding]
    sentence = rf"it is compressed with {coding}, which needs a package: pip install 'kmon-tui\[compression\]'"
    with pytest.raises(UsageError, match=sentence):
        recorded(tmp_path, FILES[ending](BODY), f"a.{ending}")
    head = HEAD.replace("\r\n\r\n", f"\r\ncontent-encoding: {coding}\r\n\r\n").encode()
    (only,) = recorded(tmp_path, head + FILES[ending](BODY))
    assert only.problem is not None
    assert "kmon-tui[compression]" in only.problem


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_in_utf_16(tmp_path: Path, encoding: str) -> None:
    """Windows PowerShell writes so what a program prints, with its own line ends."""
    is_the_stream(recorded(tmp_path, SSE.replace("\n", "\r\n").encode(encoding))[0])


def flushed(coding: str, pieces: list[bytes]) -> list[bytes]:
    """The pieces, each packed so far that it can be unpacked when it is there."""
    if coding == "br":
        packer = brotli.Compressor()
        return [packer.process(piece) + packer.flush() for piece in pieces[:-1]] + [
            packer.process(pieces[-1]) + packer.finish()
        ]
    if coding == "zstd":
        frame = zstandard.ZstdCompressor().compressobj()
        ends = [zstandard.COMPRESSOBJ_FLUSH_BLOCK] * (len(pieces) - 1) + [zstandard.COMPRESSOBJ_FLUSH_FINISH]
        return [frame.compress(piece) + frame.flush(end) for piece, end in zip(pieces, ends, strict=True)]
    deflate = zlib.compressobj(wbits={"gzip": 31, "deflate": 15, "deflate ": -15}[coding])
    flushes = [zlib.Z_SYNC_FLUSH] * (len(pieces) - 1) + [zlib.Z_FINISH]
    return [deflate.compress(piece) + deflate.flush(flush) for piece, flush in zip(pieces, flushes, strict=True)]


TIMES_MS = (0.0, 10.0, 20.0, 7020.0, 7030.0)


@pytest.mark.parametrize(
    "layers", [["gzip"], ["deflate"], ["deflate "], ["br"], ["zstd"], ["gzip", "br"], ["br", "gzip"], ["zstd", "gzip"]],
    ids=", ".join,
)  # fmt: skip
def test_the_events_of_a_compressed_body_keep_their_times(layers: list[str]) -> None:
    pieces = [event.encode() for event in EVENTS]
    for coding in layers:
        pieces = flushed(coding, pieces)
    body, marks = marked(zip(pieces, TIMES_MS, strict=True))
    headers = {"content-type": "text/event-stream", "content-encoding": ", ".join(layers)}
    found = interaction(0, Request(), 200, headers, body, None, marks)
    assert found.body == BODY
    assert found.arrivals_ms == TIMES_MS


def test_an_event_that_was_not_flushed_came_when_it_could_be_unpacked() -> None:
    body, ends = gzip.compress(BODY), [1.0, 9.0]
    half = len(body) // 2
    marks = [(half, ends[0]), (len(body), ends[1])]
    headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}
    found = interaction(0, Request(), 200, headers, body, None, marks)
    assert len(found.arrivals_ms) == len(EVENTS)
    assert set(found.arrivals_ms) <= {0.0, 8.0}


def test_a_body_that_only_says_that_it_is_compressed_keeps_its_times() -> None:
    body, marks = marked(zip([event.encode() for event in EVENTS], TIMES_MS, strict=True))
    headers = {"content-type": "text/event-stream", "content-encoding": "gzip, br"}
    assert interaction(0, Request(), 200, headers, body, None, marks).arrivals_ms == TIMES_MS


@given(
    st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, br"]),
    st.sampled_from([gzip.compress(BODY), zlib.compress(BODY), brotli.compress(BODY), zstandard.compress(BODY), BODY]),
    st.integers(0, 400),
    st.binary(max_size=4),
    st.lists(st.integers(0, 500), max_size=4),
)
def test_a_damaged_body_raises_nothing(coding: str, packed: bytes, at: int, put: bytes, ends: list[int]) -> None:
    body = packed[:at] + put + packed[at:]
    marks = [(min(end, len(body)), float(place)) for place, end in enumerate([*sorted(ends), len(body)])]
    headers = {"content-type": "text/event-stream", "content-encoding": coding}
    interaction(0, Request(), 200, headers, body, None, marks)
