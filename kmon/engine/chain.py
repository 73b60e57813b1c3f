"""Several turns of one conversation: run the tools that were called, with local fakes, and say what to send next."""

from __future__ import annotations

import json
from collections.abc import Sequence

from kmon.dialects.assemble import Transcript
from kmon.model import Chain, PromptMessage, ToolUse


def next_turn(
    chain: Chain, messages: Sequence[PromptMessage], answer: Transcript, *, one_call: bool = False
) -> tuple[PromptMessage, ...] | None:
    """The conversation after ``answer``'s tool calls were carried out, or None when it goes no further.

    It goes no further when the answer calls no tool, when a call cannot be carried out (a name not offered, arguments
    that are no JSON object: the scenario's check tells which), or when more calls came than twice the steps asked for.
    ``one_call`` carries out the first call of a turn alone, as if the others had not been made: a result then never
    comes beside another, and the model has to ask again.
    """
    done = results_in(messages)
    made = answer.tool_calls[:1] if one_call else answer.tool_calls
    calls = [_use(call.id, call.name, call.arguments, done + i) for i, call in enumerate(made)]
    uses = [use for use in calls if use is not None and use.name in chain.results]
    if not uses or len(uses) < len(calls) or done + len(uses) > 2 * chain.steps:
        return None
    said = PromptMessage(role="assistant", content=answer.text, reasoning=answer.reasoning, tool_calls=tuple(uses))
    results = [
        PromptMessage(role="tool", content=chain.results[use.name].replace("{n}", str(done + i)), tool_call_id=use.id)
        for i, use in enumerate(uses, start=1)
    ]
    return (*messages, said, *results)


def results_in(messages: Sequence[PromptMessage]) -> int:
    """How many tool results a conversation holds."""
    return sum(message.role == "tool" for message in messages)


def _use(call_id: str, name: str, arguments: str, ordinal: int) -> ToolUse | None:
    try:
        values = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return None
    return ToolUse(id=call_id or f"call_{ordinal}", name=name, arguments=values) if isinstance(values, dict) else None
