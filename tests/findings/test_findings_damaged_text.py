"""Text that was damaged is told from text in any script, and white space without end from layout."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.findings.damaged_text import BLANK_CHARS, blank_flood, garbled

HEALTHY = "O PÃO É BOM. À 22 °C, 東京 ☀️ 👨‍👩‍👧‍👦, Ελλάδα, «Москва», עברית, naïve café, 50 €, “quotes”…"
FRENCH = "Où est l’été ? Ça va, c’est déjà très bien."
DAMAGED = [
    ("T\ufffd\ufffdky\ufffd", "3 characters could not be decoded"),
    (HEALTHY.encode().decode("latin-1"), "UTF-8 was read in another encoding"),
    ("Il fait 22 °C, là-bas, “très” chaud".encode().decode("cp1252", "replace"), "in another encoding"),
    (FRENCH.encode().decode("mac-roman"), "in another encoding"),
    ("größer".encode().decode("cp437"), "read as cp437"),
    ("Rzeki płyną do morza, żółć".encode().decode("cp1252"), "in another encoding"),
    ("Nice 🎉 and 👍 😀!".encode().decode("cp1252", "replace"), "in another encoding"),
    ("河流如何找到大海".encode().decode("latin-1"), "read as latin-1"),
    ("河流如何找到大".encode().decode("latin-1").replace("\x82", "‚"), "read as latin-1"),
    ("Реки текут в море".encode().decode("latin-1"), "read as latin-1"),
    ("Реки".encode().decode("cp1251"), "read as cp1251"),
    ("河流如何找到大海水从山上流下来".encode().decode("gbk", "replace"), "read as gbk"),
    ("Nice <0xF0><0x9F><0x8E><0x89> party", "bytes of tokens"),
    ("RiversĠfindĠtheĠsea.Ċ", "tokens came undecoded"),
    ("▁Rivers▁find▁the▁sea", "tokens came undecoded"),
]
HONEST = [
    "",
    HEALTHY,
    "\ufffd is U+FFFD",
    "Â alone, Ã alone, Ã é apart",
    FRENCH,
    "«fatigué…» «gelé…» “déjà…” ÉTÉ À NÎMES, «GARÉ», ÂGE",
    "NÃO, «AMANHû, MAÇÃ: ÂNGULO. Sông tìm ra biển, VIỆT NAM, ĐƯỜNG.",
    "„Spaß“, „Gruß“, Ä… ÄÖÜ. Þetta er íslenska: ÐÞÆÖ. Åäö",
    "河流如何找到大海:联通、移动、电信。東京の天気は晴れです。ｱｲｳ 서울의 날씨",
    "РОССИЯ, СССР. Рівне, Січ, РІЧ, їжак.",
    "x²≥0, √π·√2, √∞, ±½, 5°±0.1°, Å = 10⁻¹⁰ m, ±§¶•°™©®",
    "┌──┬──┐\n│é │ñ │\n├──┼──┤\n└──┴──┘ ├── été.txt ░▒▓ ▁▂▃▅▇▅▃▁",
    "Ġorġ u Ġanna. IL-ĠIMGĦA ĦĠEJJA <｜tool▁calls▁begin｜><｜tool▁call▁begin｜><｜tool▁sep｜>",
    "Mojibake such as `Ã©` for é or `â€™` for ’. The byte <0x0A> ends a line.",
]


@pytest.mark.parametrize(("text", "said"), DAMAGED)
def test_wrong_decoding_is_seen(text: str, said: str) -> None:
    assert said in (garbled(text) or "")


@pytest.mark.parametrize("text", HONEST)
def test_healthy_text_is_not(text: str) -> None:
    assert garbled(text) is None


@given(st.lists(st.sampled_from(HONEST) | st.sampled_from([text for text, _ in DAMAGED]) | st.text()).map("".join))
def test_no_text_makes_it_raise(text: str) -> None:
    garbled(text)


def test_a_flood_of_white_space_is_measured() -> None:
    assert blank_flood("a" + " \n\t" * BLANK_CHARS + "b") == 3 * BLANK_CHARS
    assert blank_flood(("a" + " " * (BLANK_CHARS - 1)) * 9) is None
