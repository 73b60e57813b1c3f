"""Promises about which stream is drawn on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.terminal import Terminal
from tests.support.threaded_provider import chunk, provider

pytestmark = pytest.mark.slow


def test_with_stderr_in_a_file_the_screen_is_still_on_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "err.log"
    with provider(chunk("hello there", "stop")) as server, log.open("wb") as stderr:
        arguments = ["--base-url", server.url, "--model", "m", "--yes"]
        with Terminal(arguments, cwd=tmp_path, stderr=stderr) as terminal:
            terminal.until(lambda text: "hello there" in text and "done" in text, "the answer")
            terminal.press("q")
            assert terminal.ended() == 0
    assert b"\x1b" not in log.read_bytes()
