"""Promises about a declared question: wrong names are refused, and its comparisons come before all others."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.errors import UsageError
from kmon.stats.question import Question, claims, corrected, question_of
from kmon.stats.statistics import holm
from kmon.stats.trial import Arm

RACED = ("kimi", "nova", "mistral", "elsewhere")


def test_every_other_target_is_a_control_unless_some_are_named() -> None:
    assert question_of(RACED, "kimi", ()) == Question("kimi", ("nova", "mistral", "elsewhere"))
    assert question_of(RACED, "kimi", ("nova", "nova")) == Question("kimi", ("nova",))
    assert question_of(RACED, None, ()) is None


@pytest.mark.parametrize(
    ("raced", "suspect", "controls", "sentence"),
    [
        (RACED, "kimmi", (), "--suspect kimmi: no such target is raced here; did you mean kimi?"),
        (RACED, "kimi", ("xyz",), "--control xyz: no such target is raced here; name one of kimi, nova,"),
        (RACED, "kimi", ("kimi",), "kimi cannot be the suspect and a control"),
        (("kimi",), "kimi", (), "--suspect kimi needs at least one control beside it"),
        (RACED, None, ("nova",), "--control nova needs --suspect"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(
    raced: tuple[str, ...], suspect: str | None, controls: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(UsageError, match=f"^{sentence.replace('?', '[?]')}"):
        question_of(raced, suspect, controls)


def test_a_question_compares_the_suspect_with_each_control_in_each_scenario() -> None:
    arms = [Arm(target, scenario) for target in RACED for scenario in ("a", "b")]
    asked = claims(arms, Question("kimi", ("nova", "mistral")))
    assert len(claims(arms, None)) == 28
    assert asked == [
        (Arm("kimi", scenario), Arm(control, scenario)) for scenario in ("a", "b") for control in ("nova", "mistral")
    ]


P_VALUES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=12)


@given(P_VALUES)
def test_other_comparisons_wait_until_the_question_is_proven(found: list[tuple[float, bool]]) -> None:
    p_values, asked = [p for p, _ in found], [of_question for _, of_question in found]
    adjusted = corrected(p_values, asked)
    ours = [p for p, of_question in zip(adjusted, asked, strict=True) if of_question]
    assert ours == list(holm([p for p, of_question in found if of_question]))
    for p, after, of_question in zip(p_values, adjusted, asked, strict=True):
        assert p <= after <= 1
        if not of_question and after <= 0.05:
            assert max(ours, default=0.0) <= 0.05


@given(st.lists(st.floats(0, 1), max_size=8))
def test_without_a_question_all_comparisons_are_asked(p_values: list[float]) -> None:
    assert corrected(p_values, [True] * len(p_values)) == holm(p_values)


def test_the_gate_keeps_the_error_of_the_whole_family() -> None:
    """Three comparisons are asked, three are not: whichever are real, at most 5 % of tests prove another."""
    draw = random.Random(7)
    asked = [True] * 3 + [False] * 3
    for real in ((), (0,), (0, 1, 2), (3, 4)):
        wrong = 0
        for _ in range(4_000):
            p_values = [draw.random() * (1e-4 if at in real else 1) for at in range(6)]
            wrong += any(p <= 0.05 for at, p in enumerate(corrected(p_values, asked)) if at not in real)
        assert wrong <= 4_000 * 0.05 + 60
