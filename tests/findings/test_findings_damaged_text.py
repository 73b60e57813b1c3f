"""Text that was damaged is told from text in any script, and white space without end from layout."""

from __future__ import annotations

import pytest

from kmon.findings.damaged_text import BLANK_CHARS, blank_flood, garbled

HEALTHY = "O PÃO É BOM. À 22 °C, 東京 ☀️ 👨‍👩‍👧‍👦, Ελλάδα, «Москва», עברית, naïve café, 50 €, “quotes”…"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("T\ufffd\ufffdky\ufffd", "3 characters could not be decoded"),
        (HEALTHY.encode().decode("latin-1"), "UTF-8 was read as Latin-1"),
        ("Il fait 22 °C, là-bas, “très” chaud".encode().decode("cp1252", "replace"), "UTF-8 was read as Latin-1"),
    ],
)
def test_wrong_decoding_is_seen(text: str, said: str) -> None:
    assert said in (garbled(text) or "")


@pytest.mark.parametrize("text", ["", HEALTHY, "\ufffd is U+FFFD", "Â alone, Ã alone, Ã é apart"])
def test_healthy_text_is_not(text: str) -> None:
    assert garbled(text) is None


def test_a_flood_of_white_space_is_measured() -> None:
    assert blank_flood("a" + " \n\t" * BLANK_CHARS + "b") == 3 * BLANK_CHARS
    assert blank_flood(("a" + " " * (BLANK_CHARS - 1)) * 9) is None
