"""The answer of an isolation in words: one sentence with its numbers and its alternatives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import exp, log

from kmon.format import listed, percent, plural
from kmon.isolate.experiment import Experiment
from kmon.isolate.stages import CAUSES, Stage
from kmon.stats.isolation.state import Conclusion, Explanation, IsolationState, Rate
from kmon.stats.statistics import interval_words

POSSIBLE = 0.01
"""Probability from which another explanation is told."""
UNUSUAL = 0.05
"""Probability below which clusters and drift of failures are told."""
MOST_ALTERNATIVES = 3
E_LIMIT = 1_000_000


def answer(experiment: Experiment) -> str:
    """What is known now: the conclusion of each stage, or what is missing. Names in it are the user's own."""
    first, *others = experiment.stages
    part = next((stage for stage in others if stage.name == "part"), None)
    parts = [_of_stage(experiment, first, part)]
    parts += [_place(stage) for stage in others if stage.name == "place"]
    if experiment.left_out:
        parts.append(experiment.left_out)
    if refused := experiment.refusals():
        parts.append(f"refused, so that nothing is known of them: {listed(sorted(refused))}")
    return "; ".join(part for part in (*parts, plural(experiment.requests, "request")) if part)


def answered(experiment: Experiment) -> bool:
    """Whether the question was answered: a cause, none of the factors, or no failure at all."""
    conclusion = experiment.stages[0].conclusion
    return conclusion is not None and conclusion.kind != "not-explained"


def _of_stage(experiment: Experiment, stage: Stage, part: Stage | None) -> str:
    name = experiment.reported.target.name
    conclusion, state = stage.conclusion, stage.state
    if state is None or not state.requests:
        return f"{name}: nothing was measured"
    if conclusion is None:
        why = experiment.given_up or ("it was ended before there was an answer" if experiment.stopped else "")
        known = f"not explained, {why}" if why else "no answer yet"
        return f"{name}: {known}; {_counts(state)}{_likeliest(stage, state)}"
    if conclusion.kind not in CAUSES:
        return f"{name} {_no_cause(stage, conclusion, state)}"
    if stage.name == "place":
        return f"{name} fails: {_place(stage)}"
    return f"{name} fails when {_found(experiment, stage, conclusion, part)}"


def _found(experiment: Experiment, stage: Stage, conclusion: Conclusion, part: Stage | None) -> str:
    """The cause, by its part if that was told apart."""
    of_part = None if part is None else part.conclusion
    if part is not None and of_part is not None and of_part.kind in CAUSES:
        told = f"{_cause(part, of_part)}: {_with(of_part)}"
        idle = [f"{factor.words} alone" for factor in stage.found]
        idle += [*_idle(stage, conclusion), *_idle(part, of_part)]
        possible = [*_alternatives(stage, conclusion), *_alternatives(part, of_part)]
        beside = (_no_difference(idle), _possible(possible), *_warnings(part, of_part))
        return "; ".join(filter(None, (told, *beside)))
    told = f"{_cause(stage, conclusion)}: {_with(conclusion)}"
    parts = [each for factor in stage.found for each in experiment.plan.parts(factor)]
    words = listed(list(dict.fromkeys(each.words for each in parts)), "or")
    if of_part is not None and of_part.kind == "none-of-them":
        told += f"; {words} makes no difference by itself"
    elif words:
        told += f"; whether it is by {words} alone is not known"
    other = _possible(_alternatives(stage, conclusion))
    beside = (_no_difference(_idle(stage, conclusion)), other, *_warnings(stage, conclusion))
    return "; ".join(filter(None, (told, *beside)))


def _no_cause(stage: Stage, conclusion: Conclusion, state: IsolationState) -> str:
    match conclusion.kind:
        case "none-of-them":
            changed = listed([factor.words for factor in stage.factors])
            rates = f"{_of(conclusion.with_cause)} as reported, {_of(conclusion.without)} changed"
            return f"fails whatever is changed ({changed}): {rates}"
        case "does-not-fail":
            rate = conclusion.with_cause
            most = f"at these numbers at most {percent(rate.interval.high, up=True)} % of them fail (95 %)"
            return f"does not fail: {_of(rate)} as reported failed, {most}; all together {_counts(state)}"
        case _:
            if conclusion.reason == "vanished":
                return f"failed at first and then no more: {_counts(state)}; not explained, try again later"
            more = "try again later, or with more --max-requests"
            return f"is not explained by so few requests: {_counts(state)}{_likeliest(stage, state)}; {more}"


def _cause(stage: Stage, conclusion: Conclusion) -> str:
    clauses = [factor.when for factor in stage.found]
    if conclusion.kind == "either":
        return f"{clauses[0]}, and also when {clauses[1]}: each is enough alone"
    return listed(clauses) + (", only both together" if conclusion.kind == "pair" else "")


def _with(conclusion: Conclusion) -> str:
    both = "both" if conclusion.kind == "pair" else "one of them" if conclusion.kind == "either" else "it"
    with_cause, without = conclusion.with_cause, conclusion.without
    return f"{_of(with_cause)} with {both}, {_of(without)} without (e = {e_words(conclusion.ln_e)})"


def _of(rate: Rate) -> str:
    """``11 of 27``."""
    return f"{rate.failures} of {rate.runs}"


def rate_words(rate: Rate) -> str:
    """``11 of 27, 22-61 %``; ``-`` without a run."""
    return "-" if not rate.runs else f"{_of(rate)}, {interval_words(rate.interval)}"


def e_words(ln_e: float) -> str:
    """An e-value by its logarithm: ``45``, ``0.3``, ``over 1,000,000``."""
    if ln_e >= log(E_LIMIT):
        return f"over {E_LIMIT:,}"
    e = exp(ln_e)
    return f"{e:,.0f}" if e >= 10 else f"{e:.2g}"


def _counts(state: IsolationState) -> str:
    silent = f", {plural(state.silent, 'request')} said nothing" if state.silent else ""
    return f"{state.failures} of {state.requests - state.silent} failed{silent}"


def _idle(stage: Stage, conclusion: Conclusion) -> list[str]:
    """The factors that make no difference: not in the cause, and in no other explanation that stays possible."""
    possible = {at for each in conclusion.alternatives if each.probability >= POSSIBLE for at in each.factors}
    others = set(range(len(stage.factors))) - possible - set(conclusion.factors)
    return [stage.factors[at].words for at in sorted(others)]


def _no_difference(idle: Sequence[str]) -> str:
    return f"no difference by {listed(idle)}" if idle else ""


def _alternatives(stage: Stage, conclusion: Conclusion) -> list[str]:
    """Other explanations that stay possible, the likeliest first."""
    found = [each for each in conclusion.alternatives if each.probability >= POSSIBLE][:MOST_ALTERNATIVES]
    return [f"{_explanation(stage, each)} ({percent(each.probability)} %)" for each in found]


def _possible(alternatives: Sequence[str]) -> str:
    return f"also possible: {listed(alternatives, 'or')}" if alternatives else ""


def _explanation(stage: Stage, each: Explanation) -> str:
    if not each.factors:
        return "none of these"
    names = [factor.words for factor in (stage.factors[at] for at in each.factors)]
    return f" {'or' if each.kind == 'either' else 'with'} ".join(names)


def _likeliest(stage: Stage, state: IsolationState) -> str:
    best = max(state.explanations, key=lambda each: each.probability, default=None)
    if best is None or not best.factors:
        return ""
    return f"; the likeliest is {_explanation(stage, best)} ({percent(best.probability)} %)"


def _warnings(stage: Stage, conclusion: Conclusion) -> Iterator[str]:
    state = stage.state
    assert state is not None, "it has a conclusion"
    if any(stage.factors[at].name == "streaming" for at in conclusion.factors):
        yield "an answer in one piece has no gaps, so that only its end is judged"
    if conclusion.unbroken:
        yield "no request passed in between, so that one outage would look the same"
    if state.clustered_p < UNUSUAL:
        yield "the failures came in clusters"
    if state.drift_p < UNUSUAL:
        yield "they became more or fewer in time"


# -- where -------------------------------------------------------------------------------------------------------------


def _place(stage: Stage) -> str:
    """Whether it fails at another place, too."""
    conclusion, state, factor = stage.conclusion, stage.state, stage.factors[0]
    row = stage.requests.row((False,))
    if state is None or not state.requests or row is None:
        return ""
    there = f"{'at' if factor.name == 'elsewhere' else 'with'} {row.target.name}"
    if conclusion is not None and conclusion.kind in CAUSES:
        rates = f"{_of(conclusion.with_cause)}, against {_of(conclusion.without)} {there}"
        return f"only {factor.only}: {rates} (e = {e_words(conclusion.ln_e)})"
    if conclusion is not None and conclusion.kind == "none-of-them":
        return f"it fails {there}, too: {_of(conclusion.without)}, against {_of(conclusion.with_cause)}"
    if conclusion is not None and conclusion.kind == "does-not-fail":
        return f"it did not fail any more when it was tried {there} ({_counts(state)})"
    return f"whether it fails {there}, too, could not be told ({_counts(state)})"
