"""Changes of a scenario that take one thing out of it and leave the question as it is. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from kmon.model import AnswerCheck, PromptMessage, Scenario

LONG_CHARS = 2_000
"""A message that is longer than this makes a prompt long."""
KEPT_CHARS = 400
"""What is kept of a long message, at its beginning and at its end, where its question may be."""
LEFT_OUT = "\n\n[...]\n\n"


def without_tools(scenario: Scenario) -> Scenario:
    """No tools are offered, and no call is expected."""
    check = replace(scenario.check, tool_call=False)
    return replace(scenario, tools=(), tool_choice=None, parallel_calls=None, check=check)


def unchecked(scenario: Scenario) -> Scenario:
    """Any answer will do, and any valid call: where the question changes, a right answer may change, too."""
    return replace(scenario, check=AnswerCheck())


def results_as_text(scenario: Scenario) -> Scenario:
    """Tool calls are left out of the conversation, and their results are told by the user, in words."""
    names = {use.id: use.name for message in scenario.messages for use in message.tool_calls}
    return replace(scenario, messages=_joined([_told(message, names) for message in scenario.messages]))


def _told(message: PromptMessage, names: dict[str, str]) -> PromptMessage:
    if message.role != "tool":
        return replace(message, tool_calls=(), reasoning="" if message.tool_calls else message.reasoning)
    name = names.get(message.tool_call_id or "", "the tool")
    return PromptMessage(role="user", content=f"The result of {name} is: {message.content}")


def _joined(messages: Sequence[PromptMessage]) -> tuple[PromptMessage, ...]:
    """Messages without those that are empty, and with neighbours of one role as one message."""
    out: list[PromptMessage] = []
    for message in messages:
        if not message.content:
            continue
        if out and out[-1].role == message.role:
            out[-1] = replace(out[-1], content=f"{out[-1].content}\n\n{message.content}")
        else:
            out.append(message)
    return tuple(out)


def last_question(scenario: Scenario) -> Scenario:
    """The system's messages, and the conversation from the last message of the user on."""
    at = max((at for at, message in enumerate(scenario.messages) if message.role == "user"), default=0)
    kept = [message for message in scenario.messages[:at] if message.role == "system"]
    return replace(scenario, messages=(*kept, *scenario.messages[at:]))


def is_long(scenario: Scenario) -> bool:
    """Whether a message is long."""
    return any(len(message.content) > LONG_CHARS for message in scenario.messages)


def shortened(scenario: Scenario) -> Scenario:
    """Long messages without their middle."""
    return replace(scenario, messages=tuple(map(_cut, scenario.messages)), filler_tokens=None)


def _cut(message: PromptMessage) -> PromptMessage:
    if len(message.content) <= LONG_CHARS:
        return message
    text = message.content
    return replace(message, content=f"{text[:KEPT_CHARS].rstrip()}{LEFT_OUT}{text[-KEPT_CHARS:].lstrip()}")
