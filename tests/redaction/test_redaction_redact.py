"""Promises about keys: taken out in every form, however they are split over pieces and fields; nothing else is."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.delta import Delta, StreamError, ToolFragment
from kmon.redaction.redact import REDACTED, Redactor
from kmon.stream.events import DeltaArrived
from kmon.stream.sanitize import Sanitizer
from kmon.stream.timeline import S, Timeline
from kmon.stream.view import fold_chunk
from tests.support.key_spellings import gives_away, spellings

KEY = "sk-AbCdef-0123456789+/xyz"
SPELLINGS = spellings(KEY)
FIELDS = (
    "text",
    "reasoning",
    "arguments 0",
    "arguments 1",
    "name 1",
    "id 2",
    "finish_reason",
    "model",
    "upstream",
    "error",
)
STREAMED = FIELDS[:4]


def pieces(text: str, cuts: Sequence[int]) -> list[str]:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]


def delta(field: str, piece: str) -> Delta:
    what, _, index = field.partition(" ")
    match what:
        case "text" | "reasoning" | "finish_reason" | "model" | "upstream":
            return Delta(**{what: piece})  # type: ignore[arg-type]
        case "error":
            return Delta(error=StreamError("in-stream", piece))
    return Delta(tools=(ToolFragment(int(index), **{what: piece}),))  # type: ignore[arg-type]


def told(came: Sequence[tuple[str, str]], secrets: Sequence[str] = (KEY,)) -> list[DeltaArrived]:
    translate = Sanitizer("r", 1, secrets=secrets)
    events = [translate(1, delta(field, piece)) for field, piece in came if piece]
    return [*events, *translate.rest(2)]


def words(event: DeltaArrived) -> list[tuple[str, str]]:
    """Every string of an event with its field, in the order of the event."""
    found = [] if event.kind == "tool" else [(event.kind, event.text)]
    found += [("reasoning", event.reasoning)]
    for tool in event.tools:
        found += [(f"id {tool.index}", tool.id), (f"name {tool.index}", tool.name)]
        found += [(f"arguments {tool.index}", tool.arguments)]
    named = {"finish_reason": event.finish_reason, "model": event.model, "upstream": event.upstream}
    found += [(field, said) for field, said in named.items() if said]
    return found + ([("error", event.error.message)] if event.error else [])


def by_field(events: Sequence[DeltaArrived]) -> dict[str, str]:
    found: dict[str, str] = {}
    for event in events:
        for field, said in words(event):
            found[field] = found.get(field, "") + said
    return found


def in_order(events: Sequence[DeltaArrived]) -> str:
    return "".join(said for event in events for _, said in words(event))


@pytest.mark.parametrize("name", sorted(SPELLINGS))
def test_every_form_is_taken_out_of_a_whole_text_and_of_one_that_comes_letter_by_letter(name: str) -> None:
    text = f"it is {SPELLINGS[name]} and that is all"
    assert gives_away(text, KEY)
    for said in (text, *(by_field(told([("text", part) for part in way]))["text"] for way in ([text], text))):
        assert said is text or (REDACTED in said and not gives_away(said, KEY))
        assert said is text or (said.startswith("it is ") and said.endswith(" and that is all"))
    assert not gives_away(Redactor((KEY,)).whole(text), KEY)


@given(
    st.sampled_from(sorted(SPELLINGS)),
    st.text(max_size=20),
    st.text(max_size=20),
    st.lists(st.integers(0, 300), max_size=9),
)
def test_no_split_of_any_form_lets_a_key_through(name: str, before: str, after: str, cuts: list[int]) -> None:
    came = [("text", piece) for piece in pieces(f"{before}{SPELLINGS[name]}{after}.", cuts)]
    assert not gives_away(by_field(told(came))["text"], KEY)


@given(
    st.sampled_from(sorted(SPELLINGS)),
    st.lists(st.tuples(st.integers(0, 160), st.sampled_from(FIELDS)), min_size=1, max_size=8),
)
def test_no_split_over_fields_lets_a_key_through(name: str, cuts: list[tuple[int, str]]) -> None:
    parts = pieces(SPELLINGS[name], [at for at, _ in cuts])
    came = list(zip((*(field for _, field in cuts), "text"), parts, strict=True))
    events = told([("text", "it is "), *came, ("text", " and more"), ("reasoning", "and more")])
    assert not gives_away(in_order(events), KEY)
    assert not any(gives_away(said, KEY) for said in by_field(events).values())


@given(
    st.sampled_from(sorted(SPELLINGS)),
    st.lists(st.integers(0, 160), max_size=5),
    st.lists(st.tuples(st.sampled_from(STREAMED[1:]), st.text(max_size=9)), min_size=6, max_size=6),
)
def test_what_other_fields_say_in_between_hides_no_key(
    name: str, cuts: list[int], others: list[tuple[str, str]]
) -> None:
    parts = [("text", piece) for piece in pieces(SPELLINGS[name], cuts)]
    came = [one for pair in itertools.zip_longest(parts, others) for one in pair if one is not None]
    assert not gives_away(by_field(told(came)).get("text", ""), KEY)


@given(st.lists(st.tuples(st.sampled_from(STREAMED), st.text(max_size=20)), max_size=20))
def test_what_holds_no_key_comes_through_unchanged_in_each_field(came: list[tuple[str, str]]) -> None:
    with_key = by_field(told(came))
    without = by_field(told(came, secrets=()))
    assert with_key == without


@given(
    st.text(alphabet="skSK-AbCdef0123456789+/xyz %u\\&#;=ZXh", max_size=80),
    st.lists(st.tuples(st.integers(0, 80), st.sampled_from(STREAMED)), max_size=9),
)
def test_what_looks_like_a_key_and_is_none_comes_through_once_it_has_ended(
    text: str, cuts: list[tuple[int, str]]
) -> None:
    parts = pieces(text, [at for at, _ in cuts])
    came = [*zip((*(field for _, field in cuts), "text"), parts, strict=True), ("text", "! the end")]
    if not gives_away("".join(parts), KEY) and KEY[:16].lower() not in text.lower():
        assert by_field(told(came)) == by_field(told(came, secrets=()))


SLICES = st.builds(
    lambda form, start, size: form[start : start + size],
    st.sampled_from(sorted(SPELLINGS.values())),
    st.integers(0, 12),
    st.integers(1, 12),
)


@given(st.lists(st.tuples(st.sampled_from(STREAMED), st.one_of(SLICES, st.sampled_from(["!", " ", "ok"]))), max_size=9))
def test_parts_of_a_key_that_make_none_come_through_once_and_in_their_order(came: list[tuple[str, str]]) -> None:
    came += [(field, "! the end") for field in STREAMED]
    wanted = by_field(told(came, secrets=()))
    redactor = Redactor((KEY,))
    if all(redactor.whole(text) == text for text in ("".join(said for _, said in came), *wanted.values())):
        assert by_field(told(came)) == wanted


@pytest.mark.parametrize("chars", range(1, 16))
def test_a_key_that_is_broken_off_comes_through_letter_by_letter(chars: int) -> None:
    for form in SPELLINGS.values():
        text = f"{form[:chars]}! the end"
        assert by_field(told([("text", letter) for letter in text]))["text"] == text


def test_the_beginning_of_a_key_at_the_end_comes_out_late_and_most_of_one_does_not() -> None:
    (first, late) = told([("text", f"such keys begin with {KEY[:10]}")])
    assert (first.text, late.text) == ("such keys begin with ", KEY[:10])
    assert (late.late, late.chunk, first.late) == (True, False, False)
    assert in_order(told([("text", f"it is {KEY[:-1]}")])) == f"it is {REDACTED}"


def test_a_piece_that_is_held_back_is_progress_of_its_kind() -> None:
    events = told([("text", "it is "), ("text", KEY[:12]), ("text", KEY[12:]), ("arguments 0", KEY[:9])])
    assert [event.held for event in events[:4]] == [(), ("text",), (), ("tool",)]


def test_a_frame_that_holds_its_part_of_a_split_key_is_withheld_in_every_form() -> None:
    for name, form in SPELLINGS.items():
        half = len(form) // 2
        translate = Sanitizer("r", 1, secrets=(KEY,))
        for part in (form[:half], form[half:]):
            raw = json.dumps({"choices": [{"delta": {"content": part}}]})
            event = translate(1, Delta(text=part, raw=raw))
            assert part not in event.raw, name
    assert Sanitizer("r", 1, secrets=(KEY,))(1, Delta(text="hi", raw='{"content":"hi"}')).raw == '{"content":"hi"}'


@pytest.mark.parametrize("short", ["together", "openclaw", "password", "secret-1"])
def test_a_short_password_does_not_tear_up_words(short: str) -> None:
    text = "we go to get her, open claw by claw; the pass word of the secret 1"
    assert Redactor((short,)).whole(text) == text
    assert Redactor((short,)).whole(f"it is {short.upper()}!") == f"it is {REDACTED}!"


def test_shorter_values_are_no_keys() -> None:
    assert Redactor(["x", "requests"[:7]]).whole("Too many requests") == "Too many requests"


def test_a_key_inside_another_is_taken_out_once() -> None:
    assert Redactor([KEY, KEY + "-long"]).whole(f"{KEY}-long {KEY}") == f"{REDACTED} {REDACTED}"


def test_a_key_in_a_long_text_is_found_wherever_it_stands() -> None:
    for at in range(16_300, 16_400, 7):
        text = "x" * at + SPELLINGS["percent"] + "y" * 40_000
        assert Redactor((KEY,)).whole(text) == "x" * at + REDACTED + "y" * 40_000


def test_a_key_that_is_cut_off_in_a_sentence_is_taken_out_where_half_of_it_is_left() -> None:
    assert (
        Redactor((KEY,)).whole(f"the arguments are no JSON: {KEY[:18]}…") == f"the arguments are no JSON: {REDACTED}…"
    )


def test_a_key_that_is_not_ascii_is_one_too() -> None:
    key = "pässwörter-für-älle"
    for form in (key, key.upper(), key[::-1], quote(key)):
        assert Redactor((key,)).whole(f"({form})") == f"({REDACTED})"


def test_a_piece_that_is_held_back_moves_the_clocks_when_it_came_and_what_comes_late_moves_none() -> None:
    timeline = Timeline(0, 5 * S)
    timeline.on_phase("request_sent", 0)
    translate = Sanitizer("r", 1, secrets=(KEY,))
    for at_s, piece in ((1, KEY[:9]), (2, "!"), (3, KEY[:10])):
        fold_chunk(timeline, translate(at_s * S, Delta(text=piece)))
    for late in translate.rest(9 * S):
        assert late.text == KEY[:10]
        assert fold_chunk(timeline, late) is None
    assert (timeline.ttft_ns(), timeline.progress.ticks, timeline.chunk.ticks) == (1 * S, 3, 3)
    assert timeline.progress.last_ns == timeline.byte.last_ns == 3 * S


@pytest.mark.parametrize(
    "unit", ["\\", "%", "%25", "&#", "&#0", "\\u00", "\\\\u0", "sk-AbCdef", "%73%6b", "0", " ", "é"]
)
def test_no_text_takes_long_to_read(unit: str) -> None:
    text = (unit * 200_000)[:200_000]
    before_s = time.process_time()
    assert Redactor((KEY,)).whole(text) == text
    redactor = Redactor((KEY,))
    assert redactor.feed("text", text) + "".join(said for _, said in redactor.rest()) == text
    assert time.process_time() - before_s < 10.0, "a run of one character is read in one pass (it took minutes)"
