"""Wire formats without I/O: bytes in, deltas out, and the requests that ask for them."""

from __future__ import annotations

from kmon.catalog.errors import UsageError
from kmon.dialects.refuse import refusal as refusal
from kmon.dialects.wire import Decoder, Dialect

NAMES = ("chat", "converse", "messages", "deepinfra")
"""Dialects kmon can ask in."""
DECODABLE = ("chat", "converse", "messages", "deepinfra", "bedrock-invoke")
"""Dialects kmon can read from a recording."""


def dialect(name: str) -> Dialect:
    """The dialect called ``name``. Raises UsageError if kmon cannot ask in it."""
    if name == "chat":
        from kmon.dialects.chat import ChatDecoder
        from kmon.dialects.chat_request import chat_request

        return Dialect("chat", chat_request, ChatDecoder, "text/event-stream")
    if name == "converse":
        from kmon.dialects.converse import ConverseDecoder
        from kmon.dialects.converse_request import converse_request

        return Dialect("converse", converse_request, ConverseDecoder, "application/vnd.amazon.eventstream", final=True)
    if name == "messages":
        from kmon.dialects.messages import MessagesDecoder
        from kmon.dialects.messages_request import messages_request

        return Dialect("messages", messages_request, MessagesDecoder, "text/event-stream", final=True)
    if name == "deepinfra":
        from kmon.dialects.deepinfra import DeepInfraDecoder
        from kmon.dialects.deepinfra_request import deepinfra_request

        return Dialect("deepinfra", deepinfra_request, DeepInfraDecoder, "text/event-stream", final=True)
    raise UsageError(f"dialect {name!r} cannot be asked live; use one of: {', '.join(NAMES)}")


def decoder(name: str) -> Decoder:
    """A fresh decoder for ``name``, one of :data:`DECODABLE`. Raises UsageError for any other."""
    if name == "bedrock-invoke":
        from kmon.dialects.bedrock_invoke import BedrockInvokeDecoder

        return BedrockInvokeDecoder()
    if name in DECODABLE:
        return dialect(name).decoder()
    raise UsageError(f"dialect {name!r} cannot be decoded; use one of: {', '.join(DECODABLE)}")
