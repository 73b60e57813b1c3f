"""Finds the markup of chat templates in what a model said: tool calls as words, thinking tags, control tokens. Pure.

Markup that is talked about is no leak: in code, in quotation marks, as a word of a sentence, in a list or a table of
markers, or when the prompt has markup of the same family.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from kmon.dialects.json_access import parsed
from kmon.findings.markup_families import Family, Marker, markers

_CODE = re.compile(
    r"(?<!`)(?P<fence>`{3,}|~{3,})(?!tool_code\b).*?(?:(?P=fence)[`~]*|\Z)|(?<!`)(?P<tick>`{1,2})(?!`)[^\n]*?(?P=tick)(?!`)",
    re.DOTALL,
)
_INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?:(?: {4}|\t)[^\n]*(?:\n|\Z))+")
_OPENING, _CLOSING = "\"'“”‘’«»„‹›「『(*/\\", "\"'“”‘’«»„‹›」』)*/\\"
_SENTENCE_BEFORE = re.compile(r"[^\W\d_][ \t]+$|[,:][ \t]+$")
_SENTENCE_AFTER = re.compile(r"[ \t]+[^\W\d_]|[ \t]*[.,;:!?)](?:\s|$)")
_SUBJECT = re.compile(r"[ \t]+(?:is|are|was|were|means|marks|begins|starts|ends|opens|closes|tags?|tokens?|and|or)\b")
_DEFINED = re.compile(r"[ \t]*(?:[:=–—→⇒](?!=)|[-=]>)[ \t]|[ \t]+-[ \t]")
_IN_LIST = re.compile(r"(?:\A|\n)[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\Z")
_IN_TABLE = re.compile(r"(?:\A|\s)\|[ \t]*\Z")
_ENUMERATED_BEFORE, _ENUMERATED_AFTER = re.compile(r"[>\]][,/;][ ]?\Z"), re.compile(r"[,/;][ ]?[<\[]")
_ELLIPSIS = r"(?:\.{3}|…)"
_ELIDED_BEFORE = re.compile(rf"{_ELLIPSIS}\s*(?:</[^<>\n]{{1,40}}>\s*)*\Z")
_ELIDED_AFTER = re.compile(rf"[^\n]{{0,60}}?{_ELLIPSIS}\s*</|\s*{_ELLIPSIS}")
_LINE_START = re.compile(r"(?:\A|\n)[ \t]*\Z")
_THINKING_PLACE = re.compile(r"(?:\A|\n)\s*\Z")
_BAR = re.compile("[|｜]")
_LINE_END = re.compile(r"[ \t]*(?:\n|\Z)")
_ARGUMENT_END = re.compile(r"(?:</arg_value>|</parameter>\s*</(?:function|invoke)>|</tool_call>)\s*\Z")
_ARGUMENT_BEGIN = re.compile(r"<(?:arg_value|parameter|tool_call)[\s=>]")
_ARGUMENT_TAGS = Family("Qwen, GLM or Claude", "tools", _ARGUMENT_END.pattern)
VALUES_LIMIT = 200
"""Values of the arguments of a call that are searched."""
VALUES_DEPTH = 4


def leaked(text: str, prompt: str = "") -> Marker | None:
    """The first marker in ``text`` that is not talked about, tool calls before the rest; None if there is none.

    A thinking tag counts only at the beginning of a line, or if it closes what was opened there.
    """
    first = None
    for marker in _leaks(_INDENTED.sub("\n", _CODE.sub(" ", text)), prompt):
        if marker.family.use == "tools":
            return marker
        first = first or marker
    return first


def leaked_into_arguments(arguments: str, prompt: str = "") -> Marker | None:
    """The token or tag that an argument of a call begins or ends with, and that a parser should have taken; or None.

    A file that a model writes may be about markup: then it holds it inside, in pairs, or in code. What a parser left
    behind stands at one edge of a value, and nothing else in the value is like it.
    """
    told = _told_of(prompt)
    found = (marker for value in _values(arguments) if (marker := _at_edge(value.strip())) is not None)
    return next((marker for marker in found if marker.family.name not in told), None)


def _told_of(prompt: str) -> set[str]:
    """The families whose markup a prompt has."""
    return {marker.family.name for marker in markers(prompt)}


def _values(arguments: str) -> Iterator[str]:
    """The strings in the arguments, or the arguments themselves if they are no JSON."""
    try:
        value = parsed(arguments.encode("utf-8", "replace"))
    except ValueError:
        return iter((arguments,))
    return islice(_strings(value, VALUES_DEPTH), VALUES_LIMIT)


def _strings(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner, depth - 1)


def _at_edge(value: str) -> Marker | None:
    """The marker that ``value`` begins or ends with, if it has no other."""
    left = _ARGUMENT_END.search(value)
    if left is not None and not _ARGUMENT_BEGIN.search(value):
        return Marker(left[0], _ARGUMENT_TAGS, left.start(), left.end())
    found = [marker for marker in markers(value) if _BAR.search(marker.text)]
    first, last = 0, len(found)
    start, end = 0, len(value)
    while first < last and found[first].start == start:
        start, first = found[first].end, first + 1
    while last > first and found[last - 1].end == end:
        end, last = found[last - 1].start, last - 1
    one_edge = (first > 0) != (last < len(found))
    if found and first == last and (one_edge or all('"' in marker.text for marker in found)):
        return found[0]
    return None


def _leaks(text: str, prompt: str) -> Iterator[Marker]:
    found, opened = markers(text), False
    told = _told_of(prompt) if found else set()
    for marker in found:
        before, after = text[max(0, marker.start - 80) : marker.start], text[marker.end : marker.end + 80]
        if marker.family.name in told or _talked_about(marker, before, after):
            continue
        if marker.text == "</s>" and "<s>" in text:
            continue  # struck out in HTML
        closing = "/" in marker.text
        if marker.family.use == "thinking":
            glued = closing and not opened and not before[-1:].isspace() and after[:1].isalnum()
            if not (glued or _THINKING_PLACE.search(before) or after[:1] in ("\n", "")):
                continue
            opened = True
        yield marker


def _talked_about(marker: Marker, before: str, after: str) -> bool:
    """Whether a marker between these texts is quoted, a word of a sentence, or one of a list."""
    opened, closed = before[-1:], after[:1]
    if opened and closed and opened in _OPENING and closed in _CLOSING + ",;":
        return True
    if _DEFINED.match(after) or _ELIDED_AFTER.match(after) or _ELIDED_BEFORE.search(before):
        return True
    if _ENUMERATED_BEFORE.search(before) or _ENUMERATED_AFTER.match(after):
        return True
    if _IN_LIST.search(before) or (_IN_TABLE.search(before) and after.lstrip(" \t")[:1] == "|"):
        return True
    if _LINE_START.search(before):
        return _SUBJECT.match(after) is not None
    if not _SENTENCE_BEFORE.search(before):
        return False
    if marker.family.use == "control" and _LINE_END.match(after):
        return True
    return (bool(closed) and closed in _CLOSING) or _SENTENCE_AFTER.match(after) is not None
