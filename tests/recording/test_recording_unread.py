"""A file that no format reads is described: what it looks like, and what to do; never as bad YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmon.errors import UsageError
from tests.support.recorded_stream import recorded


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x0a\x0d\x0d\x0a" + bytes(40), "it is a packet capture; follow its HTTP stream in Wireshark"),
        (b"SQLite format 3\0" + bytes(40), "it is a SQLite database"),
        (b"\x16\x03\x01\x02\x00", "it is encrypted TLS"),
        (b"\x89PNG\r\n\x1a\n", "it is a picture"),
        (bytes(257) + b"ustar", "it is a tar archive"),
        (b"\x00\x01\x02\x03\x80\xff", "it is binary"),
        (b"<!DOCTYPE html><p>hi", "it is a web page"),
        (b"<?xml version='1.0'?><a/>", "it is XML"),
        (b"2026-01-02 INFO httpx: HTTP Request: POST", "it is a program's log"),
        (b"title: a list\nversion: 3\n", "it is text, and no stream"),
        (b"- " * 5000 + b"x", "it is text, and no stream"),
        (b'{"log": {"entries": [', "it is JSON that is empty, cut or damaged"),
        (b"[]", "it is JSON that is empty"),
        (b'{"a\\u001b[2J": 1}', r"it is a JSON object with '"),
        (b"[1, 2]", "it is a JSON list"),
    ],
)
def test_what_a_file_looks_like(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        recorded(tmp_path, content, "x.dat")
    said = str(refused.value)
    assert sentence in said
    assert "x.dat is no recording that kmon reads" in said
    assert "kmon reads a HAR" in said
    assert "YAML" not in said.replace("save that as YAML", "")
    assert said.isprintable()


def test_a_damaged_cassette_is_told_where_it_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"on line \d"):
        recorded(tmp_path, b"interactions:\n- request: {a: [1\n  response: x: y\n", "c.yaml")


def test_a_damaged_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it begins like gzip, and is damaged"):
        recorded(tmp_path, b"\x1f\x8b\x08" + bytes(range(40)), "x.gz")
    with pytest.raises(UsageError, match="it begins like a zip archive, and is damaged"):
        recorded(tmp_path, b"PK\x03\x04" + bytes(40), "x.zip")
