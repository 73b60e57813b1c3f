"""Answers that pause until the next message of their conversation arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from kmon.simulator.request import ChatRequest


class HeldConversation(Struct, frozen=True):
    """The messages so far with one provider and model; each message is :attr:`ChatMessage.identity`."""

    provider: str
    model: str
    messages: tuple[tuple[str, ...], ...]

    def continues(self, earlier: HeldConversation) -> bool:
        """Whether this is ``earlier`` with at least one more message."""
        known = len(earlier.messages)
        return (
            (self.provider, self.model) == (earlier.provider, earlier.model)
            and len(self.messages) > known
            and self.messages[:known] == earlier.messages
        )


def conversation(provider: str, request: ChatRequest) -> HeldConversation:
    return HeldConversation(provider, request.model, request.conversation)


class _HeldAnswer:
    def __init__(self, conversation: HeldConversation, sent_text: str) -> None:
        self.conversation = conversation
        self.sent_text = sent_text.strip()
        self.released = asyncio.Event()


class HeldAnswers:
    """All answers held at the moment, oldest first."""

    def __init__(self) -> None:
        self._held: list[_HeldAnswer] = []

    @contextmanager
    def hold(self, conversation: HeldConversation, sent_text: str) -> Iterator[asyncio.Event]:
        """Hold an answer of which ``sent_text`` has been sent; the event is set when it may go on."""
        answer = _HeldAnswer(conversation, sent_text)
        self._held.append(answer)
        try:
            yield answer.released
        finally:
            if answer in self._held:
                self._held.remove(answer)

    def release(self, follow_up: HeldConversation) -> bool:
        """Release one answer that ``follow_up`` continues; False when there is none.

        Of several, the one whose text the follow-up repeats as the assistant's message, otherwise the oldest.
        """
        candidates = [answer for answer in self._held if follow_up.continues(answer.conversation)]
        if not candidates:
            return False
        repeated = [a for a in candidates if _assistant_text(follow_up, len(a.conversation.messages)) == a.sent_text]
        chosen = (repeated or candidates)[0]
        self._held.remove(chosen)
        chosen.released.set()
        return True


def _assistant_text(conversation: HeldConversation, index: int) -> str | None:
    role, text, *_ = conversation.messages[index]
    return text if role == "assistant" else None
