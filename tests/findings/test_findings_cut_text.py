"""A text that stops inside of something is told from one that merely has no full stop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.findings.cut_text import cut_off

BEGUN = "Rivers begin in the hills. They gather rain. "
CUT = [
    (BEGUN + "Towns grew at", "a sentence"),
    (BEGUN + "Near the sea it slows and", "a sentence"),
    ("# Rivers\n\n" + BEGUN + "It meets the", "a sentence"),
    ("Flüsse entspringen im Gebirge. Sie sammeln Regen. Am Meer werden sie langsam und", "a sentence"),
    ('{"city": "Tokyo", "days": [1, 2', "a JSON value"),
    ('```json\n{"city": {"name": "To', "a JSON value"),
    ('[{"a": 1}, {"b"', "a JSON value"),
    ("Like so:\n\n```python\ndef run(x):\n    return call(x, [1, 2, 3, other(", "code"),
]
WHOLE = [
    "",
    "4",
    BEGUN,
    BEGUN + "Let me know what you think",
    BEGUN + "That is what rivers are for",
    BEGUN + "They run where they come from",
    BEGUN + "Pick option a",
    BEGUN + "Good luck 🎉",
    BEGUN + "Sad :(",
    BEGUN + 'The word is "the"',
    BEGUN + "wander and drop th",
    "Steps:\n- gather rain\n- flow to the sea and",
    "Rain falls on the hill\nA thread of water runs to\nThe wide and salt sea and",
    "The way of the",
    BEGUN + "\n\nBest regards,\nthe",
    '{"city": "Tokyo"}',
    '{"a": 1}\n{"b": 2',
    "{",
    "{{name}} runs",
    "[1] Rivers. [2] Seas",
    "[Note] the",
    "```python\nprint(1)\n```",
    "Run:\n```bash\nkmon run --demo --scenario minimal --json > out.jsonl\n",
    "Like so:\n\n```python\nprint('(((' + \"[[[\")  # {{{ as a comment, and more\n",
    "Smile:\n```\n" + ":) " * 20,
]


@pytest.mark.parametrize(("text", "inside"), CUT)
def test_what_stops_inside_of_something_is_cut(text: str, inside: str) -> None:
    assert (cut_off(text) or "").startswith(inside)


@pytest.mark.parametrize("text", WHOLE)
def test_what_may_be_whole_is_not(text: str) -> None:
    assert cut_off(text) is None


@given(st.lists(st.sampled_from([*WHOLE, *(text for text, _ in CUT)]) | st.text(max_size=9)).map("".join))
def test_no_text_makes_it_raise(text: str) -> None:
    cut_off(text)
