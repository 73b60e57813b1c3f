"""The answer of an isolation in words: one sentence with its numbers and its alternatives."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, log

from kmon.format import listed, percent, plural
from kmon.isolate.experiment import Experiment, Stage
from kmon.isolate.factors import Factor
from kmon.stats.isolation.state import Conclusion, Explanation, IsolationState, Rate
from kmon.stats.statistics import interval_words

POSSIBLE = 0.01
"""Probability from which another explanation is told."""
UNUSUAL = 0.05
"""Probability below which clusters and drift of failures are told."""
E_LIMIT = 1_000_000
CAUSES = frozenset({"factor", "pair", "either"})


def answer(experiment: Experiment) -> str:
    """What is known now: the conclusion of each stage, or what is missing. Names in it are the user's own."""
    first = experiment.stages[0]
    parts = [_of_stage(experiment, first)]
    if len(experiment.stages) > 1 and experiment.stages[1].isolation is not None:
        parts.append(_place(experiment.stages[1]))
    if experiment.left_out:
        parts.append(experiment.left_out)
    if refused := experiment.refusals():
        parts.append(f"refused, so that nothing is known of them: {listed(sorted(refused))}")
    return "; ".join(part for part in (*parts, plural(experiment.requests, "request")) if part)


def answered(experiment: Experiment) -> bool:
    """Whether the question was answered: a cause, none of the factors, or no failure at all."""
    conclusion = experiment.stages[0].conclusion
    return conclusion is not None and conclusion.kind != "not-explained"


def _of_stage(experiment: Experiment, stage: Stage) -> str:
    name = experiment.reported.target.name
    conclusion, state = stage.conclusion, stage.state
    if state is None or not state.requests:
        return f"{name}: nothing was measured"
    if conclusion is None:
        why = experiment.given_up or "it was ended before there was an answer"
        return f"{name}: not explained, {why}; {_counts(state)}{_likeliest(stage, state)}"
    if conclusion.kind in CAUSES and stage.factors[0].stage == "place":
        return f"{name} fails: {_place(stage)}"
    return f"{name} {_found(stage, conclusion, state)}"


def _found(stage: Stage, conclusion: Conclusion, state: IsolationState) -> str:
    match conclusion.kind:
        case "factor" | "pair" | "either":
            return "; ".join(
                filter(
                    None,
                    (
                        f"fails when {_cause(stage, conclusion.kind, conclusion.factors)}: {_with(conclusion)}",
                        _made_no_difference(stage, conclusion, state),
                        _alternatives(stage, conclusion),
                        *_warnings(conclusion, state),
                    ),
                )
            )
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


def _cause(stage: Stage, kind: str, factors: tuple[int, ...]) -> str:
    clauses = [stage.factors[at].when for at in factors]
    if kind == "either":
        return f"{clauses[0]}, and also when {clauses[1]}: each is enough alone"
    return listed(clauses) + (", only both together" if kind == "pair" else "")


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


def _made_no_difference(stage: Stage, conclusion: Conclusion, state: IsolationState) -> str:
    possible = {at for each in conclusion.alternatives if each.probability >= POSSIBLE for at in each.factors}
    idle = [
        stage.factors[each.factor].words
        for each in state.factors
        if each.factor not in conclusion.factors and each.factor not in possible
    ]
    return f"no difference by {listed(idle)}" if idle else ""


def _alternatives(stage: Stage, conclusion: Conclusion) -> str:
    found = [each for each in conclusion.alternatives if each.probability >= POSSIBLE][:3]
    if not found:
        return ""
    words = [f"{_explanation(stage, each)} ({percent(each.probability)} %)" for each in found]
    return f"also possible: {listed(words, 'or')}"


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


def _warnings(conclusion: Conclusion, state: IsolationState) -> Iterator[str]:
    if conclusion.unbroken:
        yield "no request passed in between, so that one outage would look the same"
    if state.clustered_p < UNUSUAL:
        yield "the failures came in clusters"
    if state.drift_p < UNUSUAL:
        yield "they became more or fewer in time"


# -- where -------------------------------------------------------------------------------------------------------------


def _place(stage: Stage) -> str:
    """Where it fails: of the cause that was found, or of the request as it was reported."""
    conclusion, state = stage.conclusion, stage.state
    names = {factor.name: at for at, factor in enumerate(stage.factors)}
    if state is None or not state.requests:
        return ""
    if conclusion is None or conclusion.kind == "not-explained":
        return f"where it fails could not be told ({_counts(state)})"
    if conclusion.kind == "does-not-fail":
        return "it did not fail any more when that was asked"
    if conclusion.kind == "none-of-them":
        where = listed([factor.changed for factor in stage.factors])
        return f"it fails the same with {where}: {_of(conclusion.without)}"
    found = [stage.factors[at] for at in conclusion.factors]
    others = [factor for factor in stage.factors if factor not in found]
    only = {
        "factor": lambda: f"only with {found[0].words}",
        "pair": lambda: f"only with {found[0].words} and {found[1].words} together",
        "either": lambda: f"with {found[0].words} or with {found[1].words}",
    }[conclusion.kind]()
    changed = listed([_changed(stage, factor, names) for factor in found], "or")
    same = f", and {others[0].words} makes no difference" if others else ""
    rates = f"{_of(conclusion.with_cause)}, against {_of(conclusion.without)} with {changed}"
    return f"{only}: {rates} (e = {e_words(conclusion.ln_e)}){same}"


def _changed(stage: Stage, factor: Factor, names: dict[str, int]) -> str:
    """What stood in the place of a factor, with the name of its target."""
    config = tuple(at != names[factor.name] for at in range(len(stage.factors)))
    row = stage.requests.row(config)
    return factor.changed if row is None else f"{factor.changed} ({row.target.name})"
