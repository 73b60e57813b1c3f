"""A conversation as alternating turns, for the dialects that know only user and assistant.

Tool results belong to the user there, and two turns of one role in a row (parallel tool results, a nudge after a
question) are refused, so they become one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from kmon.model import PromptMessage


class Turn(NamedTuple):
    """Consecutive messages of one side."""

    role: Literal["user", "assistant"]
    messages: tuple[PromptMessage, ...]


def system_of(messages: Sequence[PromptMessage]) -> str:
    """What the system messages say, wherever they stand, in order."""
    return "\n\n".join(message.content for message in messages if message.role == "system")


def turns_of(messages: Sequence[PromptMessage]) -> list[Turn]:
    """The rest of the conversation, by turns."""
    spoken = [message for message in messages if message.role != "system"]
    return [
        Turn("assistant" if assistant else "user", tuple(said))
        for assistant, said in groupby(spoken, key=lambda message: message.role == "assistant")
    ]
