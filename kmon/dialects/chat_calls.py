"""Which tool call a piece of a Chat Completions stream belongs to: by index, by id, by name, or by none of them.

OpenAI keys the pieces of a call by ``index``. Compatible servers leave it out, send 0 for every call or another one for
every piece, repeat the id or the name with each piece, write the word "null" for none, cut the name into pieces, or
send the arguments as an object that grows. The pieces leave this module with one index per call, the first id, and a
name that is said once, so that no later part has to know of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from kmon.dialects.bounds import ID_LIMIT_CHARS
from kmon.dialects.delta import ToolFragment
from kmon.dialects.json_access import compact, count, items, members, position, text

CALLS_LIMIT = 1_000
"""Calls that are told apart in one answer; the pieces of further ones are passed on, each as a call of its own."""
PIECES_LIMIT = 256
"""Pieces of arguments that are kept before they are searched for the end of their object."""
NO_VALUE = ("null", "None")
"""What servers write that make a text of an id or a name that is none."""
_OUTSIDE = re.compile(r'["{}\[\]]')
_IN_STRING = re.compile(r'["\\]')


@dataclass(slots=True)
class _Call:
    number: int
    """Its index in what leaves this module."""
    id: str = ""
    name: str = ""
    began: bool = False
    """Whether some of its arguments came."""
    value: object = None
    """Its arguments, if they came as an object instead of a text."""
    named_again: bool = False
    """Whether its name came alone after its whole arguments: a repetition, or the beginning of the next call."""
    pieces: list[str] = field(default_factory=list)
    depth: int = 0
    opened: bool = False
    in_string: bool = False
    escaped: bool = False

    def add(self, arguments: str) -> None:
        self.began = True
        self.pieces.append(arguments)
        if len(self.pieces) >= PIECES_LIMIT:
            self._scan()

    @property
    def complete(self) -> bool:
        """Whether its arguments are a JSON object up to the closing bracket."""
        self._scan()
        return self.value is not None or (self.opened and self.depth == 0)

    def _scan(self) -> None:
        for piece in self.pieces:
            at = 0
            while at < len(piece):
                if self.escaped:
                    self.escaped = False
                    at += 1
                    continue
                found = (_IN_STRING if self.in_string else _OUTSIDE).search(piece, at)
                if found is None:
                    break
                at = found.end()
                if found[0] == '"':
                    self.in_string = not self.in_string
                elif found[0] == "\\":
                    self.escaped = True
                else:
                    self.opened = True
                    self.depth += 1 if found[0] in "{[" else -1
        self.pieces.clear()


class ChatCalls:
    """The calls of one answer. Has the state that :func:`kmon.dialects.chat.chunk_delta` needs from chunk to chunk."""

    def __init__(self) -> None:
        self._at: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._last: _Call | None = None
        self._taken: set[int] = set()

    def fragments(self, delta: dict[str, Any]) -> tuple[ToolFragment, ...]:
        """The pieces in one ``delta``: those of ``tool_calls``, and the older ``function_call``."""
        if (usual := self._usual(delta)) is not None:
            return (usual,)
        entries = [(place, entry) for place, entry in enumerate(items(delta.get("tool_calls"))) if _is_object(entry)]
        # Entries of one list are different calls, also where no index says so (Mistral).
        found = [
            self._fragment(position(entry.get("index"), -1), place if len(entries) > 1 else None, entry)
            for place, entry in entries
        ]
        if isinstance(legacy := delta.get("function_call"), dict):
            found.append(self._fragment(0, None, {"function": legacy}))
        return tuple(found)

    def _usual(self, delta: dict[str, Any]) -> ToolFragment | None:
        """The piece of nearly every chunk, found faster: arguments of a known index, and nothing else."""
        entries = delta.get("tool_calls")
        if not isinstance(entries, list) or len(entries) != 1 or "function_call" in delta:
            return None
        entry = members(entries[0])
        index, called = entry.get("index"), members(entry.get("function"))
        arguments = called.get("arguments")
        if type(index) is not int or entry.get("id") or called.get("name") or not isinstance(arguments, str):
            return None
        call = self._at.get(index)
        if call is None or call.named_again:
            return None
        self._last = call
        if arguments:
            call.add(arguments)
        return ToolFragment(call.number, arguments=arguments)

    def _fragment(self, index: int, place: int | None, entry: dict[str, Any]) -> ToolFragment:
        """The piece in ``entry``. ``index`` is -1 if it has none, ``place`` None if it is the only one of its list."""
        custom = members(entry.get("custom"))
        called = members(entry.get("function")) or custom or entry  # some servers leave the inner object out
        id, name = _id(entry.get("id")), text(called.get("name"))
        given = called.get("input" if called is custom else "arguments")
        arguments = compact(given) if isinstance(given, dict | list) else text(given)
        known = index if index >= 0 else place
        here = self._spoken_of(known)
        if name in NO_VALUE and self._last is not None:
            name = ""
        if here is not None and here.named_again and not id and not name and arguments.lstrip()[:1] == "{":
            name = here.name
        call = self._call(known, id, name, given if isinstance(given, dict) else arguments)
        call.named_again = bool(name == call.name != "" and not id and not arguments and call.complete)
        self._at[known or 0] = self._last = call
        if id and not call.id:
            call.id, self._by_id[id] = id, call
        whole = isinstance(given, dict) and grown(call.value, given) and (call.value is not None or not call.began)
        if whole:
            call.value = given
        piece = _name_piece(call, name)
        if arguments:
            call.add(arguments)
        return ToolFragment(
            call.number, id if id == call.id else "", piece, arguments, free_form=called is custom, whole=whole
        )

    def _spoken_of(self, index: int | None) -> _Call | None:
        return self._last if index is None else self._at.get(index)

    def _call(self, index: int | None, id: str, name: str, arguments: object) -> _Call:
        here = self._spoken_of(index)
        if here is not None and (not id or id == here.id):
            return self._new(index) if _begins_another(here, id, name, arguments) else here
        known = self._by_id.get(id)
        # Two calls may have one id (Kimi K2 Thinking); then a new index with a name tells them apart.
        if known is not None and (here is not None or index is None or not name):
            return known
        if here is None:
            # Some servers count the pieces instead of the calls (Nebius, Cerebras).
            if arguments and not id and not name and self._last is not None and not self._last.complete:
                return self._last
            return self._new(index)
        if not here.id:  # the id may come late
            other = bool(here.name and name and here.name != name)
            return self._new(index) if other or _begins_another(here, id, name, arguments) else here
        # Some servers make up an id for every piece of one call (Baseten); only a name begins another call. Where no
        # index is sent, the id is all there is.
        return self._new(index) if name or (index is None and here.complete) else here

    def _new(self, index: int | None) -> _Call:
        if len(self._taken) >= CALLS_LIMIT:
            return _Call(max(self._taken) + 1)
        wanted = 0 if index is None else index
        call = _Call(wanted if wanted not in self._taken else max(self._taken) + 1)
        self._taken.add(call.number)
        return call


def grown(before: object, after: object) -> bool:
    """Whether ``after`` is ``before`` with more in it: longer texts and lists, further members."""
    if isinstance(before, dict) and isinstance(after, dict):
        return all(key in after and grown(value, after[key]) for key, value in before.items())
    if isinstance(before, list) and isinstance(after, list):
        return len(before) <= len(after) and all(map(grown, before, after))
    if isinstance(before, str) and isinstance(after, str):
        return after.startswith(before)
    return before is None or before == after


def _begins_another(here: _Call, id: str, name: str, arguments: object) -> bool:
    """Whether a piece with this name, and without an id of its own, is of another call than the one spoken of."""
    if not name:
        return False
    if here.name and name != here.name:
        return here.began  # else it is the next piece of the name
    if id == here.id != "" or not arguments or (isinstance(arguments, str) and arguments.isspace()):
        return False
    if not here.complete:
        return False
    return not (isinstance(arguments, dict) and here.value is not None and grown(here.value, arguments))


def _name_piece(call: _Call, name: str) -> str:
    """What ``name`` adds to the name of ``call``: nothing if it is a repetition."""
    if not name or name == call.name or call.began or len(call.name) > ID_LIMIT_CHARS:
        piece = "" if call.name else name
    else:
        piece = name.removeprefix(call.name)
    call.name += piece
    return piece


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _id(value: object) -> str:
    id = str(value) if isinstance(value, int) and count(value) is not None else text(value)
    return "" if id in NO_VALUE else id
