"""A healthy answer as a script: what a provider in good order would send, and when."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from msgspec.structs import replace

from kmon.simulator.answers import Answer
from kmon.simulator.pacing import Pace, first_wait_s, gaps_s
from kmon.simulator.request import ChatRequest, Usage
from kmon.simulator.script import PROGRESS, End, Head, Script, Step
from kmon.simulator.wire import Wire

HEAD_SHARE = 0.3
"""Part of the wait for the first token after which the headers are there."""
CHARS_PER_TOKEN = 4


def streamed(wire: Wire, answer: Answer, usage: Usage, pace: Pace, rng: Random) -> Script:
    """The answer as a stream."""
    return tuple(_stream(wire, answer, usage, pace, rng))


def _stream(wire: Wire, answer: Answer, usage: Usage, pace: Pace, rng: Random) -> Iterator[Step]:
    wait_s = first_wait_s(pace, rng)
    yield Head(200, wire.head, after_s=wait_s * HEAD_SHARE)
    gaps = iter([wait_s * (1 - HEAD_SHARE), *gaps_s(pace, len(answer.pieces), rng)])
    for send in wire.stream(answer, usage):
        generated = send.kind in PROGRESS or send.kind == "finish"
        yield replace(send, after_s=next(gaps, 0.0)) if generated else send
    yield End()


def complete(wire: Wire, answer: Answer, usage: Usage, pace: Pace, rng: Random) -> Script:
    """The answer in one piece, after the time it takes to generate it."""
    wait_s = first_wait_s(pace, rng) + sum(gaps_s(pace, len(answer.pieces), rng))
    return (replace(wire.whole(answer, usage), after_s=wait_s),)


def usage(request: ChatRequest, answer: Answer) -> Usage:
    """Token counts: output by the pieces sent, input by length."""
    chars = sum(len(message.text) for message in request.messages)
    tools = sum(len(tool.function.description) + 40 for tool in request.tools or ())
    prompt = (chars + tools) // CHARS_PER_TOKEN + 4 * len(request.messages)
    return Usage(max(1, prompt), len(answer.pieces), answer.count("reasoning"))
