"""What the words of a Chat Completions delta are: text, thinking under any name and in any form, sound and pictures.

Thinking is the first of :data:`REASONING_KEYS`, else what repeats it elsewhere: ``reasoning_details`` (OpenRouter),
``thinking_blocks`` and ``provider_specific_fields`` (LiteLLM), the thinking parts of a content list (Mistral). Two
providers need to know what came before: MiniMax documents ``reasoning_details`` that hold all so far in every chunk,
and Google's endpoint marks thoughts among the content and wraps them in tags, the last of which begins the text.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from kmon.dialects.json_access import items, members, text

PARTS_DEPTH = 4
"""How deep content parts are searched for text (a thinking part holds a list of text parts)."""
THINKING_PARTS = ("thinking", "reasoning", "thought")
"""How the types of thinking parts begin."""
REASONING_KEYS = tuple(
    dict.fromkeys((
        "reasoning_content", "reasoning", "reasoning_text", "thinking",
        *map("".join, product(
            ("reasoning", "thinking", "thought", "thoughts", "think", "cot", "chain_of_thought"),
            ("_content", "", "_text", "_summary", "_delta"),
        )),
    ))
)  # fmt: skip
"""Names of the thinking in a delta: DeepSeek's, OpenRouter's, GitHub Copilot's, Ollama's, and further ones by the same
pattern, such as ``cot_summary`` (Azure)."""
REASONING = frozenset({
    *REASONING_KEYS, "reasoning_details", "thinking_blocks", "provider_specific_fields", "extra_content",
})  # fmt: skip
WORDS_OF_PARTS = ("text", "thinking", "reasoning", "summary")
OPENING, CLOSING = "<thought>", "</thought>"
SNAPSHOT_CHARS = 8
"""From so many on, details that begin with all details before them are all so far, not the next piece."""


class ChatWords:
    """The words of one answer. Has the state that :func:`kmon.dialects.chat.chunk_delta` needs from chunk to chunk."""

    def __init__(self) -> None:
        self._details: list[str] = []
        self._details_chars = 0
        self._in_thought = False

    def of(self, delta: dict[str, Any]) -> tuple[str, str]:
        """The text and the thinking of one ``delta``."""
        content = delta.get("content")
        said, thought = content if isinstance(content, str) else "", ""
        if isinstance(content, dict | list):
            parts = content if isinstance(content, list) else [content]
            said, thought = _parts(parts, thinking=False), _parts(parts, thinking=True)
        if not REASONING.isdisjoint(delta):
            further = members(delta.get("provider_specific_fields"))
            thought = _named(delta) or self._detailed(delta) or _named(further) or thought
            if _is_marked(delta):
                said, marked = self._split(said)
                return said, thought or marked
        if self._in_thought and said:
            self._in_thought = False
            said = said.removeprefix(CLOSING)
        return said, thought

    def _detailed(self, delta: dict[str, Any]) -> str:
        """The readable details: texts and summaries. Encrypted ones, and signatures, say nothing."""
        details = map(members, items(delta.get("reasoning_details")) or items(delta.get("thinking_blocks")))
        piece = "".join(
            next((said for key in WORDS_OF_PARTS if (said := text(detail.get(key)))), "") for detail in details
        )
        if SNAPSHOT_CHARS <= self._details_chars <= len(piece) and piece.startswith(before := "".join(self._details)):
            piece = piece.removeprefix(before)
        if piece:
            self._details.append(piece)
            self._details_chars += len(piece)
        return piece

    def _split(self, content: str) -> tuple[str, str]:
        """The text and the thinking of content that Google's endpoint marks as thought."""
        thought, closed, said = content.removeprefix(OPENING).partition(CLOSING)
        self._in_thought = not closed
        return said, thought


def media(delta: dict[str, Any]) -> tuple[str, ...]:
    """A MIME type for each piece of audio or picture, "" where the chunk does not say it (OpenAI, OpenRouter)."""
    audio = members(delta.get("audio"))
    urls = (text(members(members(image).get("image_url")).get("url")) for image in items(delta.get("images")))
    pictures = tuple(url[5:].partition(";")[0] if url.startswith("data:") else "" for url in urls)
    return ("",) * bool(audio.get("data") or audio.get("transcript")) + pictures


def _named(delta: dict[str, Any]) -> str:
    """The thinking under the first name that has some."""
    for key in REASONING_KEYS:
        if value := delta.get(key):
            found = _part_text(value, PARTS_DEPTH) or text(members(value).get("content"))
            if found:
                return found
    return ""


def _is_marked(delta: dict[str, Any]) -> bool:
    return members(members(delta.get("extra_content")).get("google")).get("thought") is True


def _parts(parts: list[Any], *, thinking: bool) -> str:
    """The text of the thinking parts of a content list, or of its other parts."""
    pieces = []
    for part in parts:
        if isinstance(part, str):
            pieces.append("" if thinking else part)
        elif isinstance(part, dict) and text(part.get("type")).startswith(THINKING_PARTS) == thinking:
            pieces.append(_part_text(part, PARTS_DEPTH))
    return "".join(pieces)


def _part_text(part: object, depth: int) -> str:
    if isinstance(part, str) or depth == 0:
        return text(part)
    if isinstance(part, list):
        return "".join(_part_text(inner, depth - 1) for inner in part)
    found = members(part)
    return next((piece for key in WORDS_OF_PARTS if (piece := _part_text(found.get(key), depth - 1))), "")
