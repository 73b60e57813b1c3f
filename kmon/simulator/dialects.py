"""The dialects the simulator speaks, and which of them a request is in, told by its path."""

from __future__ import annotations

from msgspec import Struct

from kmon.simulator import bedrock_wire, chat_wire, deepinfra, messages_wire
from kmon.simulator.bedrock import read_converse
from kmon.simulator.chat import read_chat
from kmon.simulator.messages import read_messages
from kmon.simulator.wire import Dialect

CHAT = Dialect("chat", read_chat, chat_wire.chat_wire, chat_wire.refusal)
CONVERSE = Dialect("converse", read_converse, bedrock_wire.converse_wire, bedrock_wire.refusal)
MESSAGES = Dialect("messages", read_messages, messages_wire.messages_wire, messages_wire.refusal)
DEEPINFRA = Dialect("deepinfra", deepinfra.read_inference, deepinfra.deepinfra_wire, deepinfra.refusal)

DEFAULT_PROVIDER = "sim"


class Route(Struct, frozen=True):
    """Where a path leads. ``model`` is empty and ``stream`` False where the body tells them."""

    dialect: Dialect
    provider: str
    model: str = ""
    stream: bool = False


def route(path: str) -> Route | None:
    """The dialect of a (decoded) path and what it says; None when nobody answers there.

    Whatever stands before the dialect's own part is free, and its first word is the provider that is imitated.
    """
    before, found, rest = path.partition("/model/")
    if found:
        model, _, operation = rest.rpartition("/")
        if model and operation in ("converse", "converse-stream"):
            return Route(CONVERSE, _provider(before, "bedrock"), model, operation == "converse-stream")
    before, found, model = path.partition("/inference/")
    if found and model and not model.endswith("/chat/completions"):
        return Route(DEEPINFRA, _provider(before, "deepinfra"), model)
    if path.endswith("/chat/completions"):
        return Route(CHAT, _provider(path.removesuffix("/chat/completions"), DEFAULT_PROVIDER))
    if path.endswith("/messages"):
        return Route(MESSAGES, _provider(path.removesuffix("/messages"), DEFAULT_PROVIDER))
    return None


def _provider(before: str, default: str) -> str:
    first, _, _ = before.removeprefix("/").partition("/")
    return default if first in ("", "v1") else first
