"""Finds a text that stops inside a sentence, a JSON value or code, though its end is reported as a good one. Pure.

A missing full stop is no evidence: titles, lists, verses and chats have none. A word that nothing can end with is.
"""

from __future__ import annotations

import re

import msgspec

SENTENCES = 2
"""So many whole sentences before the last one show that the text ends its sentences with a sign."""
LEAST_CODE_CHARS = 40
LONGEST_CHARS = 500_000
"""A longer JSON value or program is not parsed."""
_NEVER_LAST = frozenset({
    "the", "an", "and", "nor", "my", "your", "our", "their", "every", "because", "although", "whereas", "if", "whether",
    "unless", "than", "und", "oder", "einen", "einem", "einer", "zum", "zur", "vom", "beim", "dans", "une", "della",
    "degli", "nella", "una", "uma",
})  # fmt: skip
"""Articles, possessives and conjunctions: they begin what did not come. None is a last word in another language."""
_SELDOM_LAST = frozenset({"at", "of", "from", "with", "into", "onto", "upon", "between", "among", "during"})
"""Prepositions. A question or a relative clause may end with one: ``what they were looking at``."""
_RELATIVE = re.compile(r"\b(?:what|who|whom|which|where|that|how|why|to|come|comes|came)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[^\W\d_][\"'”’)]?[.!?][\"'”’)]?\s+(?=[\"'“‘(]?[^\W\d_])")
_LAST_WORD = re.compile(r"(?<=[^\W\d_] )([^\W\d_]+)\Z")
_JSON_BEGINS = re.compile(r'(?:```(?:json)?\s*)?([\[{]\s*["\[{].*)\Z', re.DOTALL)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_QUOTED = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|(?:#|//)[^\n]*")


def cut_off(text: str) -> str | None:
    """What ``text`` stops inside of, as words; None if it may be whole."""
    said = text.strip()
    if (begun := _JSON_BEGINS.match(said)) is not None and len(said) <= LONGEST_CHARS:
        return "a JSON value" if _unfinished(begun[1]) else None
    if (code := _open_code(said)) is not None:
        return "code" if _open_brackets(code) else None
    return _open_sentence(said.rpartition("\n")[2])


def _unfinished(value: str) -> bool:
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        return "truncated" in str(error)
    return False


def _open_code(text: str) -> str | None:
    """The code in a fence that was not closed."""
    fences = list(_FENCE.finditer(text))
    code = text[fences[-1].end() :] if len(fences) % 2 else ""
    return code if LEAST_CODE_CHARS <= len(code) <= LONGEST_CHARS else None


def _open_brackets(code: str) -> bool:
    bare = _QUOTED.sub("", code)
    return all(bare.count(opened) >= bare.count(closed) for opened, closed in ("()", "[]", "{}")) and any(
        bare.count(opened) > bare.count(closed) for opened, closed in ("()", "[]", "{}")
    )


def _open_sentence(line: str) -> str | None:
    ends = list(_SENTENCE_END.finditer(line))
    word = _LAST_WORD.search(line)
    if len(ends) < SENTENCES or word is None:
        return None
    last = word[1]
    begun = line[ends[-1].end() :]
    if last in _NEVER_LAST or (last in _SELDOM_LAST and _RELATIVE.search(begun) is None):
        return f'a sentence, "{begun[-60:]}"'
    return None
