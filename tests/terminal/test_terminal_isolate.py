"""The demonstration of an isolation on a real terminal: the factors fill, and leaving it early keeps what is known."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow


def test_the_factors_fill_and_q_leaves_with_the_table_and_the_sentence_so_far(tmp_path: Path) -> None:
    with Terminal(("isolate", "--demo", "--fps", "4"), cwd=tmp_path) as terminal:
        terminal.until(lambda text: "failed as reported" in text and "✔ ok" in text, "an answer")
        terminal.until(lambda text: re.search(r"\b(?:8|1\d) requests of \d+", text) is not None, "the second round")
        terminal.press("?")
        terminal.until(lambda text: "Keys" in text and "failed as reported" not in text, "the help page")
        terminal.press("q")
        terminal.until(lambda text: "failed as reported" in text, "the factors again")
        terminal.press("q")
        assert terminal.ended() == 130
        assert b"bedrock/kimi-k2.5: not explained, it was ended before there was an answer" in terminal.raw
