"""The messages of a request: a nonce against prompt caches, and the next turn of a chain of tool calls."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from kmon.dialects.assemble import Transcript
from kmon.model import Chain, Message, ToolUse


def with_nonce(messages: Sequence[Message], nonce: str) -> tuple[Message, ...]:
    """The conversation with a unique first message, so that no prompt cache holds a prefix of it.

    The nonce comes first, because a cache compares prefixes, and is labelled, so that it does not confuse the model.
    """
    first, *rest = messages
    return (msgspec.structs.replace(first, content=f"[request {nonce}]\n{first.content}"), *rest)


def next_turn(
    chain: Chain, messages: Sequence[Message], answer: Transcript, *, one_call: bool = False
) -> tuple[Message, ...] | None:
    """The conversation with ``answer`` and the local results of its tool calls, or None when the chain ends.

    The chain ends when the answer calls no tool, when a call has no result (an unknown name, or arguments that are not
    a JSON object; the check of the scenario reports which), or after twice the number of steps asked for. With
    ``one_call`` only the first call of a turn is kept, so that each message holds one result.
    """
    done = results_in(messages)
    made = answer.tool_calls[:1] if one_call else answer.tool_calls
    calls = [_tool_use(call.id, call.name, call.arguments, done + i) for i, call in enumerate(made)]
    uses = [use for use in calls if use is not None and use.name in chain.results]
    if not uses or len(uses) < len(calls) or done + len(uses) > 2 * chain.steps:
        return None
    assistant = Message(role="assistant", content=answer.text, reasoning=answer.reasoning, tool_calls=tuple(uses))
    results = [
        Message(role="tool", content=chain.results[use.name].replace("{n}", str(done + i)), tool_call_id=use.id)
        for i, use in enumerate(uses, start=1)
    ]
    return (*messages, assistant, *results)


def results_in(messages: Sequence[Message]) -> int:
    """The number of tool results in a conversation."""
    return sum(message.role == "tool" for message in messages)


def _tool_use(call_id: str, name: str, arguments: str, ordinal: int) -> ToolUse | None:
    try:
        values = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return None
    return ToolUse(id=call_id or f"call_{ordinal}", name=name, arguments=values) if isinstance(values, dict) else None
