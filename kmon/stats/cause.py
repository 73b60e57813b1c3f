"""What proven differences say about their cause, in words.

A test sends the requests of its arms in random order. Scenarios are therefore randomised at one target, and the only
thing they differ in is a cause. Providers and models are not: nobody can draw by lot which provider serves a model. Two
models at one provider differ in the deployment: this provider's serving of that model.
"""

from __future__ import annotations

from collections.abc import Sequence

from kmon.format import listed
from kmon.stats.pairs import Factor

UNKNOWN = "It does not tell what the cause is"
_WORDS: dict[Factor, str] = {"model": "deployment"}
_ALONE: dict[Factor, str] = {
    "provider": "the provider, which serves the same model",
    "region": "the region",
    "model": "the deployment, which is how this provider serves this model",
    "dialect": "the dialect that they are asked in, with the endpoint behind it",
    "endpoint": "the endpoint",
    "tools": "the tools of the request, and the order was random, so the tools are a cause",
    "scenario": "the scenario, and the order was random, so what is asked is a cause",
}


def factor_words(factors: Sequence[Factor]) -> str:
    """``provider and deployment``."""
    return listed([_WORDS.get(factor, factor) for factor in factors])


def cause(differing: Sequence[tuple[str, tuple[Factor, ...]]]) -> str:
    """The cause that one arm's proven differences imply together, each given as the other arm and what differs."""
    groups: dict[tuple[Factor, ...], list[str]] = {}
    for other, factors in differing:
        groups.setdefault(factors, []).append(other)
    parts = [_part(factors, names, several=len(groups) > 1) for factors, names in sorted(groups.items(), key=_fewest)]
    parts = [part for part in parts if part]
    deployment = any("model" in factors and "provider" not in factors for factors in groups)
    elsewhere = [factors for factors in groups if "provider" in factors and "model" not in factors]
    if deployment and elsewhere:
        other = listed([f"the {factor}" for factor in min(elsewhere, key=len) if factor != "provider"])
        parts.append(
            "so neither this provider in general nor this model everywhere explains it, but how this provider serves "
            f"this model{f', or {other}' if other else ''}"
        )
    text = "; ".join(parts) or UNKNOWN
    return text[0].upper() + text[1:]


def _fewest(group: tuple[tuple[Factor, ...], list[str]]) -> tuple[int, tuple[Factor, ...]]:
    return len(group[0]), group[0]


def _part(factors: tuple[Factor, ...], others: Sequence[str], *, several: bool) -> str:
    where = f"from {listed(others)} it differs" if several else "they differ"
    if not factors:
        return ""
    if len(factors) == 1:
        return f"{where} only in {_ALONE[factors[0]]}"
    names = [f"the {_WORDS.get(factor, factor)}" for factor in factors]
    return f"{where} in {listed(names)}, and nothing here tells which of these is the cause"
