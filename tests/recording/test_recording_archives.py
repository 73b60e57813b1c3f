"""Zip archives: Fiddler's sessions, a HAR with its bodies, several files; bounded, and refused in a sentence."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from kmon.errors import UsageError
from tests.recording.formats.test_formats_har import entry, har
from tests.support.recorded_stream import HEAD, QUESTION, SSE, URL, chunked, decoded, is_asked, is_the_stream, recorded

ASKED = f"POST {URL} HTTP/1.1\r\nContent-Length: {len(QUESTION)}\r\n\r\n{QUESTION}".encode()
CHUNKED = HEAD.replace("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n").encode() + chunked(SSE.encode())


def archive(files: Mapping[str, bytes | str], *, deflated: bool = True) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return made.getvalue()


@pytest.mark.parametrize("deflated", [True, False])
def test_sessions_of_fiddler(tmp_path: Path, deflated: bool) -> None:
    sessions: dict[str, bytes | str] = {"[Content_Types].xml": "<Types/>", "_index.htm": "<html>"}
    for place in (2, 10):
        sessions |= {f"raw/{place}_s.txt": CHUNKED, f"raw/{place}_c.txt": ASKED, f"raw/{place}_m.xml": "<Session/>"}
    found = recorded(tmp_path, archive(sessions, deflated=deflated), "x.saz")
    assert [one.index for one in found] == [0, 1]
    for one in found:
        is_the_stream(one)
        is_asked(one)


def test_a_har_and_its_bodies(tmp_path: Path) -> None:
    written = har(entry({"_file": "a1.txt"}), entry({"text": SSE}))
    for one in recorded(tmp_path, archive({"har.har": written, "a1.txt": SSE}), "x.zip"):
        is_the_stream(one)
    (tmp_path / "a1.txt").write_text(SSE)
    is_the_stream(recorded(tmp_path, written, "x.har")[0])


@pytest.mark.parametrize("name", ["missing.txt", "../recording.txt", "/etc/hostname"])
def test_a_body_that_is_not_beside_its_har_is_said(tmp_path: Path, name: str) -> None:
    (only,) = recorded(tmp_path, har(entry({"_file": name})), "x.har")
    assert "which is not beside the HAR" in (only.problem or "")


def test_every_file_of_an_archive_is_read_and_others_are_left_out(tmp_path: Path) -> None:
    inner = {"a.sse": SSE, "b/c.json": json.dumps({"a": 1}), "d.log": "hello\n", "e.txt": HEAD + SSE}
    found = recorded(tmp_path, archive(inner), "logs.zip")
    assert [(one.index, decoded(one).text) for one in found] == [(0, "two wörds"), (1, "two wörds")]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (archive({}), "it begins like|is an archive without files|is no recording"),
        (archive({"a.log": "hello\n"}), "a.log is no recording that kmon reads: it is text"),
        (archive({"a.zip": archive({"a.sse": SSE})}), "it is binary"),
        (archive({"a.sse": b"data: x\n\n" * 9_000_000}), "expands to more than 64 MiB"),
        (archive({"a.sse": SSE})[:60], "it begins like a zip archive, and is damaged"),
    ],
    ids=["empty", "no stream", "an archive", "endless", "cut"],
)
def test_archives_that_hold_nothing_to_read(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        recorded(tmp_path, content, "x.zip")
