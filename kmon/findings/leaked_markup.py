"""Finds the markup of chat templates in what a model said: tool calls as words, thinking tags, control tokens. Pure.

One table has the markup of all families. Markup that is talked about is no leak: in code, in quotation marks, as a
word of a sentence, or when the prompt has it as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Use = Literal["tools", "thinking", "control"]
"""What the markup is for: a tool call, the model's thinking, or the turns of the conversation."""


class Family(NamedTuple):
    """The markup of one family of models. ``pattern`` finds one marker."""

    name: str
    use: Use
    pattern: str


_BAR = "[|｜]"
FAMILIES = (
    Family("Kimi", "tools", r"<\|tool_calls?_(?:section_begin|begin|argument_begin|section_end|end)\|>"),
    Family("DSML", "tools", rf"</?{_BAR}DSML{_BAR}[^<>\n]{{0,80}}>?"),
    Family(
        "DeepSeek", "tools", rf"<{_BAR}tool[▁_](?:calls?|outputs?)[▁_](?:begin|end){_BAR}>|<{_BAR}tool[▁_]sep{_BAR}>"
    ),
    Family("Llama", "tools", r"<\|(?:python_tag|eom_id)\|>"),
    Family("Mistral", "tools", r"\[(?:TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|ARGS)\]"),
    Family("Qwen, Hermes or GLM", "tools", r"</?(?:tool_call|tool_response|arg_key|arg_value)>"),
    Family("Qwen Coder", "tools", r"<(?:function|parameter)=[\w.:-]{1,64}>"),
    Family("MiniMax", "tools", r"</?minimax:tool_call>|\]<\]minimax\[>\["),
    Family("Claude", "tools", r'</?(?:antml:)?function_calls>|<(?:antml:)?invoke name="[^"\n<>]{1,64}">'),
    Family("harmony", "tools", r"<\|(?:channel|constrain|call)\|>"),
    Family("thinking", "thinking", r"</?(?:think|thinking|thought|reasoning|seed:think)>|\[/?THINK\]|◁/?think▷"),
    Family("thinking", "thinking", r"<\|(?:begin|end)_of_thought\|>"),
    Family("ChatML", "control", r"<\|im_(?:start|end|sep)\|>"),
    Family("Llama", "control", r"<\|(?:eot_id|start_header_id|end_header_id|begin_of_text|end_of_text)\|>"),
    Family("DeepSeek", "control", rf"<{_BAR}(?:begin|end)[▁_]of[▁_]sentence{_BAR}>|<｜(?:User|Assistant)｜>"),
    Family("Mistral", "control", r"\[/?INST\]"),
    Family("Gemma", "control", r"<(?:start|end)_of_turn>"),
    Family("harmony", "control", r"<\|(?:message|return)\|>|<\|start\|>(?=assistant|system|user|functions)"),
    Family("GPT", "control", r"<\|endoftext\|>"),
    Family("GLM", "control", r"<\|(?:observation|assistant|user)\|>"),
)
_MARKER = re.compile("|".join(f"({family.pattern})" for family in FAMILIES))
_MAY_BEGIN = ("<", "[", "◁")
_CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]*`", re.DOTALL)
_OPENING, _CLOSING = "\"'“”‘’«»„‹›「『(", "\"'“”‘’«»„‹›」』)"
_SENTENCE_BEFORE = re.compile(r"[^\W\d_][ \t]+$|[,:][ \t]+$")
_SENTENCE_AFTER = re.compile(r"[ \t]+[^\W\d_]|[ \t]*[.,;:!?)](?:\s|$)")
_SUBJECT = re.compile(r"[ \t]+(?:is|are|was|were|means|marks|begins|starts|ends|opens|closes|tags?|tokens?|and|or)\b")
_LINE_START = re.compile(r"(?:\A|\n)[ \t]*\Z")
_THINKING_PLACE = re.compile(r"(?:\A|\n)\s*\Z")


class Marker(NamedTuple):
    """One leaked marker, and what it is for."""

    text: str
    family: Family


def leaked(text: str, prompt: str = "") -> Marker | None:
    """The first marker in ``text`` that is not talked about, tool calls before the rest; None if there is none.

    A thinking tag counts only at the beginning of a line, or if it closes what was opened there.
    """
    if not any(sign in text for sign in _MAY_BEGIN):
        return None
    found = list(_markers(_CODE.sub(" ", text), prompt))
    return min(found, key=lambda marker: marker.family.use != "tools", default=None)


def leaked_into_arguments(arguments: str, prompt: str = "") -> Marker | None:
    """The first control token or tool marker in the arguments of a call; None if there is none.

    Arguments may well hold tags, since a file that a model writes may be about them. Only tokens that a template writes
    with bars count there, which no file has by chance.
    """
    return next((marker for marker in _markers(arguments, prompt) if marker.text[1:2] in ("|", "｜")), None)


def _markers(text: str, prompt: str) -> Iterator[Marker]:
    for match in _MARKER.finditer(text):
        family = FAMILIES[(match.lastindex or 1) - 1]
        before, after = text[max(0, match.start() - 80) : match.start()], text[match.end() : match.end() + 80]
        if match[0] in prompt or _talked_about(before, after):
            continue
        if family.use == "thinking" and not (_THINKING_PLACE.search(before) or after[:1] in ("\n", "")):
            continue
        yield Marker(match[0], family)


def _talked_about(before: str, after: str) -> bool:
    """Whether a marker between these texts is quoted, or a word of a sentence."""
    opened, closed = before[-1:], after[:1]
    if opened and closed and opened in _OPENING and closed in _CLOSING + ",;":
        return True
    if _LINE_START.search(before):
        return _SUBJECT.match(after) is not None
    enumerated = bool(closed) and closed in _CLOSING
    return bool(_SENTENCE_BEFORE.search(before) and (enumerated or _SENTENCE_AFTER.match(after)))
