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

from kmon.errors import UsageError
from kmon.recording.content_codings import EXPANDED_LIMIT_BYTES, decoded_body
from tests.support.recorded_stream import HEAD, SSE, is_the_stream, recorded

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
