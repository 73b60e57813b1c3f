"""Arguments by path become the JSON text of the same object, piece by piece."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.gemini_arguments import PathArguments, path_of

NAMES = st.text(st.characters(exclude_characters="\\", exclude_categories=("Cs", "Cc")), min_size=1, max_size=5)
SCALARS = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
    max_leaves=8,
)


def written(*pieces: dict[str, Any]) -> list[str]:
    arguments = PathArguments()
    return [*(arguments.add(piece) for piece in pieces), arguments.close()]


def string(path: str, value: str, *, more: bool = False) -> dict[str, Any]:
    return {"jsonPath": path, "stringValue": value, **({"willContinue": True} if more else {})}


def pieces(path: str, value: object) -> list[dict[str, Any]]:
    """``value`` as Vertex sends it: its leaves in order, strings in two pieces."""
    if isinstance(value, dict):
        return [one for name, inner in value.items() for one in pieces(f'{path}["{quoted(name)}"]', inner)]
    if isinstance(value, list):
        return [one for place, inner in enumerate(value) for one in pieces(f"{path}[{place}]", inner)]
    if isinstance(value, str):
        return [string(path, value[:2], more=True), string(path, value[2:])]
    if value is None:
        return [{"jsonPath": path, "nullValue": "NULL_VALUE"}]
    return [{"jsonPath": path, "boolValue" if isinstance(value, bool) else "numberValue": value}]


def quoted(name: str) -> str:
    return name.replace('"', '\\"')


@given(value=st.dictionaries(NAMES, VALUES, max_size=4))
def test_the_leaves_of_any_object_in_order_give_the_object(value: dict[str, Any]) -> None:
    assert json.loads("".join(written(*pieces("$", value)))) == value


def test_each_piece_is_written_at_once() -> None:
    assert written(
        string("$.city", "Par", more=True), string("$.city", 'is"'), {"jsonPath": "$.n", "numberValue": 2}
    ) == [
        '{"city":"Par',
        'is\\""',
        ',"n":2',
        "}",
    ]
    assert written() == ["{}"]


def test_a_string_that_never_ends_is_ended_by_what_follows_and_by_the_end() -> None:
    assert written(string("$.a", "x", more=True), string("$.b", "y", more=True)) == ['{"a":"x', '","b":"y', '"}']


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("$.a.b[0]", ("a", "b", 0)),
        ("$['a b'][\"c\"]", ("a b", "c")),
        (r"$['it\'s']", ("it's",)),
        ("$", ()),
        ("$[0]", ()),  # the root is an object
        ("a.b", ()),
        ("$.a[", ()),
        ("$..a", ()),
        ("", ()),
    ],
)
def test_paths_of_names_and_positions_are_read(path: str, steps: tuple[str | int, ...]) -> None:
    assert path_of(path) == steps


@pytest.mark.parametrize(
    "piece", [{}, {"jsonPath": "$"}, {"jsonPath": "$.a"}, {"stringValue": "x"}, string("$" + ".a" * 99, "x")]
)
def test_a_piece_without_a_readable_path_or_value_adds_nothing(piece: dict[str, Any]) -> None:
    assert written(piece) == ["", "{}"]
