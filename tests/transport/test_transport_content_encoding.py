"""Promises about encodings that were not asked for: layers are undone in bounded steps, anything else is refused."""

from __future__ import annotations

import contextlib
import gzip
import zlib

import brotli
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.content_coding import STEP_BYTES
from kmon.transport.http import Unpacker


def test_identity_passes_through() -> None:
    assert list(Unpacker("")(b"data")) == list(Unpacker("identity")(b"data")) == [b"data"]


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"hello", mtime=0)),
        ("gzip", gzip.compress(b"hel", mtime=0) + gzip.compress(b"lo", mtime=0) + b"\0\0"),
        ("deflate", zlib.compress(b"hello")),
        ("deflate", zlib.compress(b"hello", wbits=-15)),
        ("br", brotli.compress(b"hello")),
        ("gzip, br", brotli.compress(gzip.compress(b"hello"))),
        ("br, identity, x-gzip", gzip.compress(brotli.compress(b"hello"))),
    ],
    ids=["gzip", "two members", "deflate", "bare deflate", "br", "gzip, br", "br, gzip"],
)
def test_each_layer_is_undone_however_it_is_split(encoding: str, packed: bytes) -> None:
    undo = Unpacker(encoding)
    assert b"".join(data for i in range(len(packed)) for data in undo(packed[i : i + 1])) == b"hello"


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, br"])
def test_a_bomb_comes_in_bounded_steps(encoding: str) -> None:
    bomb = b"\0" * 50_000_000
    for coding in encoding.split(", "):
        bomb = gzip.compress(bomb) if coding == "gzip" else brotli.compress(bomb, quality=1)
    sizes = [len(data) for data in Unpacker(encoding)(bomb)]
    assert max(sizes) <= 2 * STEP_BYTES  # brotli rounds up to its own blocks
    assert sum(sizes) == 50_000_000


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "gzip, zstd", "x" * 500])
def test_other_encodings_are_refused_in_a_sentence(encoding: str) -> None:
    with pytest.raises(httpx.DecodingError, match="although identity was asked for"):
        list(Unpacker(encoding)(b"anything"))


def test_broken_gzip_is_refused_in_a_sentence() -> None:
    with pytest.raises(httpx.DecodingError, match="cannot be unpacked"):
        list(Unpacker("gzip")(b"not gzip at all"))


@given(st.sampled_from(["gzip", "deflate", "br", "gzip, br", "br, deflate, gzip"]), st.binary(max_size=60))
def test_no_bytes_raise_anything_else(encoding: str, packed: bytes) -> None:
    undo = Unpacker(encoding)
    with contextlib.suppress(httpx.DecodingError):
        for at in range(0, len(packed), 7):
            list(undo(packed[at : at + 7]))


def test_of_what_kmon_asked_for_only_the_codings_of_every_client_are_undone() -> None:
    assert b"".join(Unpacker("gzip", of_every_client=True)(gzip.compress(b"hello"))) == b"hello"
    with pytest.raises(httpx.DecodingError, match="the body is encoded as 'gzip, br', although identity was asked for"):
        list(Unpacker("gzip, br", of_every_client=True)(brotli.compress(gzip.compress(b"hello"))))
