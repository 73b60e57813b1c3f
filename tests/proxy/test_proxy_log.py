"""Promises of the log beside a proxy: a key that passes through it is in no record, wherever an error quotes it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kmon.logs import log
from kmon.redaction.redact import redaction
from tests.support.watching import before_simulator

KEY = "overheard-0123456789abcdef"
ASK = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": True}


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "kmon.log"
    log.begin(None, str(path), {}, redaction)
    yield path
    log.end()


def fail() -> None:
    """Log an error whose text quotes the key, as one of a library may."""
    try:
        raise OSError(f"refused: {KEY}")
    except OSError:
        logging.getLogger("kmon.proxy").exception("a connection with %s failed", KEY)


@pytest.mark.parametrize(
    ("headers", "query"),
    [({"Authorization": f"Bearer {KEY}"}, ""), ({"x-api-key": KEY}, ""), ({}, f"?api_key={KEY}")],
)
async def test_a_key_that_passed_is_in_no_later_record(log_file: Path, headers: dict[str, str], query: str) -> None:
    async with before_simulator() as middle, httpx.AsyncClient(trust_env=False) as http:
        await http.post(f"{middle.url}/chat/completions{query}", json=ASK, headers=headers)
        await middle.watched.ended()
        fail()
    written = log_file.read_text()
    assert "a connection with [key] failed" in written
    assert KEY not in written


def test_what_no_request_had_is_written_as_it_is(log_file: Path) -> None:
    fail()
    assert f"a connection with {KEY} failed" in log_file.read_text()
