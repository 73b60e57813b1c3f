"""The parts of a request: what can be taken out of it, piece by piece, so that it can still be sent.

A part goes with what it belongs to: the properties of a tool go with the tool, a result with its call. So every choice
of parts is a request, and some choices are the same request.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from kmon.dialects.bounds import one_line
from kmon.dialects.dialect import carries_calls
from kmon.dialects.registry import dialect
from kmon.dialects.text import clean
from kmon.engine.plan import Row
from kmon.isolate.text_pieces import pieces
from kmon.model import PromptMessage, Scenario, Tool

Kept = tuple[bool, ...]
"""One entry per part: whether the request still has it."""
Kind = Literal["text", "reasoning", "call", "tool", "description", "property", "option"]
IN_MESSAGES = ("text", "reasoning", "call")
"""Kinds of parts that belong to a message."""
WHOLE = "whole request"
QUOTED_CHARS = 32
LEAST_MAX_TOKENS: int = Scenario(name="", messages=()).max_tokens
"""The cap of a scenario that sets none. A lower one is a part: it may cut answers short."""


class Key(NamedTuple):
    """Which part it is: ``at`` counts messages or tools from 0, ``which`` pieces, calls or members in it."""

    kind: Kind
    at: int = 0
    which: int | str = 0


class Part(Struct, frozen=True):
    """A part of a request. ``words`` name it, cleaned: "the tool get_weather"."""

    key: Key
    words: str


class RequestParts:
    """The request as it was reported, and what remains of it with some of its ``parts``."""

    def __init__(self, reported: Row) -> None:
        self.reported = reported
        scenario = reported.scenario
        self._question = _last_question(scenario.messages)
        self._pieces = [pieces(message.content) for message in scenario.messages]
        self._calls = _calls_of(scenario.messages)
        self._tools_for_calls = _calls_need_tools(reported)
        self.parts = tuple(self._found(scenario))

    def remaining(self, kept: Kept) -> tuple[int, ...]:
        """The kept parts, counted from 0, that such a request still has."""
        keys = self._remaining([part.key for part, keep in zip(self.parts, kept, strict=True) if keep])
        return tuple(at for at, part in enumerate(self.parts) if part.key in keys)

    def row(self, kept: Kept) -> Row:
        """The request with these parts; it can be sent wherever the whole can be."""
        if all(kept):
            return self.reported
        keys = {self.parts[at].key for at in self.remaining(kept)}
        was = self.reported.scenario
        tools = tuple(_reduced(tool, at, keys) for at, tool in enumerate(was.tools) if Key("tool", at) in keys)
        small = replace(
            was,
            name=f"{was.name} {self.label(kept)}",
            messages=self._messages(keys),
            tools=tools,
            tool_choice=was.tool_choice if Key("option", 0, "tool_choice") in keys else None,
            parallel_calls=was.parallel_calls if Key("option", 0, "parallel_calls") in keys else None,
            max_tokens=was.max_tokens if Key("option", 0, "max_tokens") in keys else self.max_tokens,
            filler_tokens=None,
        )
        return Row(self.reported.target, small)

    @property
    def max_tokens(self) -> int:
        """The largest output cap of all its requests."""
        return max(self.reported.scenario.max_tokens, LEAST_MAX_TOKENS)

    def label(self, kept: Kept) -> str:
        """Which parts, counted from 1: ``parts 1-3 7``."""
        if all(kept):
            return WHOLE
        at = [number for number, keep in enumerate(kept, start=1) if keep]
        return f"part{'s' * (len(at) > 1)} {_spans(at)}" if at else "no parts"

    # -- which parts there are -----------------------------------------------------------------------------------------

    def _found(self, scenario: Scenario) -> Iterator[Part]:
        for at, message in enumerate(scenario.messages):
            if message.role != "tool":
                yield from self._texts(at, message)
            if message.reasoning:
                yield Part(Key("reasoning", at), "the replayed reasoning of the assistant")
            for which, call in enumerate(message.tool_calls):
                named = _name(call.name)
                results = self._calls.get((at, which), [])
                yield Part(Key("call", at, which), f"the call of {named}{' with its result' if results else ''}")
                for result in results:
                    yield from self._texts(result, scenario.messages[result], of=f"the result of {named}")
        for at, tool in enumerate(scenario.tools):
            named = _name(tool.name)
            yield Part(Key("tool", at), f"the tool {named}")
            if tool.description:
                yield Part(Key("description", at), f"the description of {named}")
            for member in _properties(tool):
                yield Part(Key("property", at, member), f"the property {_name(member)} of {named}")
        if scenario.tools and scenario.tool_choice is not None:
            yield Part(Key("option", 0, "tool_choice"), f"tool_choice {_name(scenario.tool_choice)}")
        if scenario.tools and scenario.parallel_calls is not None:
            yield Part(Key("option", 0, "parallel_calls"), "the option for parallel calls")
        if scenario.max_tokens < LEAST_MAX_TOKENS:
            yield Part(Key("option", 0, "max_tokens"), f"the cap of {scenario.max_tokens} output tokens")

    def _texts(self, at: int, message: PromptMessage, of: str = "") -> Iterator[Part]:
        """The pieces of a message that can be missing: not the end of the last question, nor the start of a result."""
        cut = self._pieces[at]
        whose = of or ("the last question" if at == self._question else f"a message of the {message.role}")
        for which, text in enumerate(cut):
            if text and not self._always(at, which):
                place = f"part {which + 1} of {len(cut)} of " if len(cut) > 1 else ""
                quoted = one_line(clean(text), QUOTED_CHARS)
                yield Part(Key("text", at, which), f'{place}{whose} "{quoted}"')

    def _always(self, at: int, which: int) -> bool:
        """Whether a piece is there whenever its message is."""
        if at == self._question:
            return which == len(self._pieces[at]) - 1
        return which == 0 and self.reported.scenario.messages[at].role == "tool"

    # -- what goes with what -------------------------------------------------------------------------------------------

    def _remaining(self, given: Collection[Key]) -> set[Key]:
        """The given keys without those whose owner is gone."""
        keys = set(given)
        tools = self.reported.scenario.tools
        offered = {tool.name for at, tool in enumerate(tools) if Key("tool", at) in keys}
        keys = {key for key in keys if self._has_tool(key, keys, offered)}
        keys -= self._before_the_user(keys)
        keys = {key for key in keys if self._has_message(key, keys)}
        return keys - self._unanswered(keys)

    def _before_the_user(self, keys: Collection[Key]) -> set[Key]:
        """What stands of others before the first message of the user: several providers refuse that."""
        roles = [message.role for message in self.reported.scenario.messages]
        if next((role for role in roles if role != "system"), "") != "user":
            return set()  # it was sent like this
        first = next(at for at, role in enumerate(roles) if role == "user" and self._has_text(at, keys))
        return {key for key in keys if key.kind in IN_MESSAGES and key.at < first and roles[key.at] != "system"}

    def _has_tool(self, key: Key, keys: Collection[Key], offered: Collection[str]) -> bool:
        match key.kind:
            case "description" | "property":
                return Key("tool", key.at) in keys
            case "option" if key.which == "tool_choice":
                choice, names = self.reported.scenario.tool_choice, {t.name for t in self.reported.scenario.tools}
                return choice in offered if choice in names else bool(offered)
            case "option" if key.which == "parallel_calls":
                return bool(offered)
            case "call" if self._tools_for_calls and isinstance(key.which, int):
                name = self.reported.scenario.messages[key.at].tool_calls[key.which].name
                return name in offered or (bool(offered) and name not in {t.name for t in self.reported.scenario.tools})
        return True

    def _has_message(self, key: Key, keys: Collection[Key]) -> bool:
        """Whether what a key belongs to is there: a call for a piece of its result, a message for its reasoning."""
        if key.kind == "reasoning":
            return self._has_text(key.at, keys) or any(each.kind == "call" and each.at == key.at for each in keys)
        owner = self._owner(key.at) if key.kind == "text" else None
        return owner is None or owner in keys

    def _owner(self, at: int) -> Key | None:
        """The call whose result the message is."""
        return next((Key("call", *call) for call, results in self._calls.items() if at in results), None)

    def _has_text(self, at: int, keys: Collection[Key]) -> bool:
        return at == self._question or any(key.kind == "text" and key.at == at for key in keys)

    def _unanswered(self, keys: Collection[Key]) -> set[Key]:
        """What stands of the assistant after the last message of somebody else: several providers refuse that."""
        messages = self.reported.scenario.messages
        if messages[-1].role == "assistant":
            return set()
        results = {at for call, found in self._calls.items() if Key("call", *call) in keys for at in found}
        others = {at for at in range(len(messages)) if messages[at].role != "assistant" and self._has_text(at, keys)}
        last = max(results | others, default=0)
        return {key for key in keys if key.kind in IN_MESSAGES and key.at > last}

    # -- the request ---------------------------------------------------------------------------------------------------

    def _messages(self, keys: Collection[Key]) -> tuple[PromptMessage, ...]:
        out: list[PromptMessage] = []
        for at, was in enumerate(self.reported.scenario.messages):
            if was.role == "tool":
                owner = self._owner(at)
                if owner is not None and owner not in keys:
                    continue
            message = replace(
                was,
                content=self._content(at, keys),
                reasoning=was.reasoning if Key("reasoning", at) in keys else "",
                tool_calls=tuple(call for which, call in enumerate(was.tool_calls) if Key("call", at, which) in keys),
            )
            if was.role == "tool" or message.content or message.tool_calls:
                _append(out, message)
        return tuple(out)

    def _content(self, at: int, keys: Collection[Key]) -> str:
        whole = self._pieces[at]
        has = [text for which, text in enumerate(whole) if self._always(at, which) or Key("text", at, which) in keys]
        joined = "".join(has)
        return joined if len(has) == len(whole) else joined.strip() or joined


def _append(messages: list[PromptMessage], message: PromptMessage) -> None:
    """Add a message; neighbours of one role, between which something was taken out, become one."""
    before = messages[-1] if messages else None
    if before is None or before.role != message.role or message.role in ("system", "tool") or before.tool_calls:
        messages.append(message)
        return
    content = "\n\n".join(filter(None, (before.content, message.content)))
    messages[-1] = replace(message, content=content, reasoning=message.reasoning or before.reasoning)


def _last_question(messages: Sequence[PromptMessage]) -> int:
    return max((at for at, message in enumerate(messages) if message.role == "user"), default=len(messages) - 1)


def _calls_of(messages: Sequence[PromptMessage]) -> dict[tuple[int, int], list[int]]:
    """Per call, by its message and its place in it, the messages with its results."""
    by_id: dict[str, tuple[int, int]] = {}
    found: dict[tuple[int, int], list[int]] = {}
    for at, message in enumerate(messages):
        for which, call in enumerate(message.tool_calls):
            by_id[call.id] = (at, which)
            found[at, which] = []
        if message.role == "tool" and message.tool_call_id in by_id:
            found[by_id[message.tool_call_id]].append(at)
    return found


def _calls_need_tools(reported: Row) -> bool:
    """Whether the dialect refuses a conversation with calls that offers no tools."""
    without = replace(reported.scenario, tools=(), tool_choice=None)
    if not carries_calls(without):
        return False
    return dialect(reported.target.dialect).unsupported(reported.target, without) is not None


def _properties(tool: Tool) -> Mapping[str, Any]:
    found = tool.parameters.get("properties")
    return found if isinstance(found, dict) else {}


def _reduced(tool: Tool, at: int, keys: Collection[Key]) -> Tool:
    """The tool with what is kept of it. A property that is gone is not required either."""
    kept = {name: value for name, value in _properties(tool).items() if Key("property", at, name) in keys}
    gone = _properties(tool).keys() - kept.keys()
    parameters = dict(tool.parameters)
    if gone:
        parameters["properties"] = kept
        if isinstance(required := parameters.get("required"), list | tuple):
            parameters["required"] = [name for name in required if name not in gone]
            if not parameters["required"]:
                del parameters["required"]
    return replace(tool, parameters=parameters, description=tool.description if Key("description", at) in keys else "")


def _name(text: str) -> str:
    return one_line(clean(text), QUOTED_CHARS)


def _spans(numbers: Sequence[int]) -> str:
    """``1-3 7`` for 1, 2, 3 and 7."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
