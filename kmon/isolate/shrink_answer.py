"""What is left of a request in words: one sentence with its numbers."""

from __future__ import annotations

from kmon.format import percent, plural
from kmon.isolate.shrinking import Shrinking
from kmon.stats.isolation.shrink import Shrunk
from kmon.stats.isolation.state import Rate
from kmon.stats.statistics import interval_words

ANSWERS = ("smallest", "fails-without-parts", "does-not-fail")
"""Outcomes that answer the question."""
NAMED = 8
"""Parts that the sentence names at most."""


def shrink_answered(shrinking: Shrinking) -> bool:
    """Whether it is known what the request fails by, or that it does not fail."""
    return shrinking.result is not None and shrinking.result.outcome in ANSWERS


def shrink_answer(shrinking: Shrinking) -> str:
    """What is known now, or what is missing. Names in it are cleaned."""
    reported = shrinking.reported
    name = f"{reported.target.name} with {reported.scenario.name}"
    if not shrinking.requests:
        return f"{name}: nothing was measured; 0 requests"
    result = shrinking.result
    if result is None:
        why = shrinking.given_up or ("it was ended before there was an answer" if shrinking.stopped else "")
        known = f"not reduced, {why}" if why else "no answer yet"
        parts = [f"{name}: {known}", f"the smallest so far that fails has {_left(shrinking)}"]
    else:
        parts = [f"{name} {_of_result(shrinking, result)}"]
    if refused := shrinking.refusals():
        parts.append(f"{plural(len(refused), 'reduced request')} refused, which counts as no failure")
    return "; ".join([*parts, plural(shrinking.requests, "request")])


def _of_result(shrinking: Shrinking, result: Shrunk) -> str:
    whole = f"whole request {_rate(result.whole)}"
    match result.outcome:
        case "smallest":
            if len(shrinking.left) == len(shrinking.parts):
                return f"needs all of its {_left(shrinking)}: {whole}"
            return f"still fails with {_left(shrinking)}: {_rate(result.rate)}; {whole}"
        case "fails-without-parts":
            without = f"without any of its {plural(len(shrinking.parts), 'part')}: {_rate(result.rate)}"
            return f"fails {without}; {whole}; so look at the rest: the model, the dialect, the provider"
        case "does-not-fail":
            rate = f"{percent(shrinking.settings.rate)} %"
            return f"does not fail at a rate of {rate} or more: {_rate(result.whole)} failed"
        case "vanished":
            smallest = f"the smallest before that has {_left(shrinking)}"
            return f"failed at first and then no more: {whole}; {smallest}; try again later"
        case "not-enough":
            smallest = f"the smallest so far that fails has {_left(shrinking)}: {_rate(result.rate)}"
            return f"is not reduced to the end by so few requests: {smallest}; {whole}; allow more with --max-requests"


def _left(shrinking: Shrinking) -> str:
    """``3 of its 14 parts: the tool get_weather, ...``; ``14 parts`` if it is all of them."""
    left, of = shrinking.left, len(shrinking.parts)
    if len(left) == of:
        return plural(of, "part")
    named = [part.words for part in left[:NAMED]]
    more = [f"{len(left) - NAMED} more"] if len(left) > NAMED else []
    return f"{len(left)} of its {plural(of, 'part')}{': ' * bool(left)}{', '.join([*named, *more])}"


def _rate(rate: Rate) -> str:
    """``9 of 20 (23-68 %)``."""
    return f"{rate.failures} of {rate.runs} ({interval_words(rate.interval)})" if rate.runs else "never sent"
