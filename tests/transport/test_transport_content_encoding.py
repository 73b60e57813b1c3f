"""Promises about encodings that were not asked for: one layer is undone in bounded steps, anything else is refused."""

from __future__ import annotations

import gzip
import zlib

import httpx
import pytest

from kmon.transport.http import STEP_BYTES, Unpacker


def test_identity_passes_through() -> None:
    assert list(Unpacker("")(b"data")) == list(Unpacker("identity")(b"data")) == [b"data"]


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", gzip.compress(b"hello", mtime=0)), ("deflate", zlib.compress(b"hello"))],
    ids=["gzip", "deflate"],
)
def test_one_layer_is_undone_however_it_is_split(encoding: str, packed: bytes) -> None:
    undo = Unpacker(encoding)
    assert b"".join(data for i in range(len(packed)) for data in undo(packed[i : i + 1])) == b"hello"


def test_a_bomb_comes_in_bounded_steps() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    sizes = [len(data) for data in Unpacker("gzip")(bomb)]
    assert max(sizes) <= STEP_BYTES
    assert sum(sizes) == 50_000_000


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "x" * 500])
def test_other_encodings_are_refused_in_a_sentence(encoding: str) -> None:
    with pytest.raises(httpx.DecodingError, match="although identity was asked for"):
        list(Unpacker(encoding)(b"anything"))


def test_broken_gzip_is_refused_in_a_sentence() -> None:
    with pytest.raises(httpx.DecodingError, match="cannot be unpacked"):
        list(Unpacker("gzip")(b"not gzip at all"))
