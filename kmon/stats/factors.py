"""What differs between two arms of a test: the only factors that their difference can be put down to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from kmon.model import Scenario, Target
from kmon.stats.trial import Arm

Factor = Literal["provider", "region", "model", "dialect", "endpoint", "tools", "scenario"]

_VENDOR = re.compile(r"(?:[a-z][a-z0-9]*\.)+(?=[a-z])")
_POINT = re.compile(r"(?<=\d)p(?=\d)")
_VARIANT = re.compile(r"(?:(?:-v\d+)?:\d+|:(?:free|nitro|floor|exacto))\Z")
"""Bedrock's version and OpenRouter's routing; not a size, as in ``gpt-oss:20b``."""


def differing(
    first: Arm, second: Arm, targets: Mapping[str, Target], scenarios: Mapping[str, Scenario]
) -> tuple[Factor, ...]:
    """The factors in which two arms differ; one of them is the cause, or several together, if anything is.

    Empty only for the same arm, or for targets that are not in ``targets``.
    """
    factors: list[Factor] = []
    ours, theirs = targets.get(first.target), targets.get(second.target)
    if ours is not None and theirs is not None:
        if ours.provider != theirs.provider:
            factors.append("provider")
        elif ours.region != theirs.region:
            factors.append("region")
        if model_family(ours.model) != model_family(theirs.model):
            factors.append("model")
        if ours.dialect != theirs.dialect:
            factors.append("dialect")
        if first.target != second.target and not factors:
            factors.append("endpoint")
    if first.scenario != second.scenario:
        factors.append(_asked(scenarios.get(first.scenario), scenarios.get(second.scenario)))
    return tuple(factors)


def model_family(model: str) -> str:
    """A model id without what hosts add to it, so that one model is known again at another host.

    ``moonshotai.kimi-k2.5``, ``moonshotai/Kimi-K2.5`` and ``accounts/fireworks/models/kimi-k2p5``: all ``kimi-k2.5``.
    """
    name = model.lower().rsplit("/", 1)[-1]
    return _POINT.sub(".", _VENDOR.sub("", _VARIANT.sub("", name), count=1))


def _asked(first: Scenario | None, second: Scenario | None) -> Factor:
    """``tools`` when two scenarios ask the same and only one offers tools, or other ones."""
    if first is None or second is None or first.messages != second.messages or first.tools == second.tools:
        return "scenario"
    return "tools"
