"""The markup of chat templates, by family of models: tool calls, thinking, and the turns of the conversation.

From the templates of the models and the parsers of vLLM, SGLang and llama.cpp, which read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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
    Family(
        "Kimi",
        "tools",
        r"<\|tool_calls?_(?:section_begin|begin|argument_begin|section_end|end)\|>"
        r"|<\|(?:open|close)\|>(?=tools|call|argument|response|think)",
    ),
    Family("DSML", "tools", rf"</?{_BAR}{{1,2}} ?DSML ?{_BAR}{{1,2}}[^<>\n]{{0,80}}>?"),
    Family(
        "DeepSeek", "tools", rf"<{_BAR}tool[▁_](?:calls?|outputs?)[▁_](?:begin|end){_BAR}>|<{_BAR}tool[▁_]sep{_BAR}>"
    ),
    Family("Llama", "tools", r"<\|(?:python_tag|eom_id|eom)\|>"),
    Family("Mistral", "tools", r"\[(?:TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS)\]|\[ARGS\](?=\s*\{)"),
    Family("Gemma", "tools", r'<\|tool_(?:call|response)>|<tool_(?:call|response)\|>|<\|\\?"\|>|<\|tool>|<tool\|>'),
    Family("Gemma", "tools", r"</?(?:start|end)_function_(?:call|response)>"),
    Family("Gemini", "tools", r"</?tool_code>|```tool_code\b"),
    Family("Qwen, Hermes or GLM", "tools", r"</?(?:tool_call|tool_response|arg_key|arg_value)>|✿(?:FUNCTION|ARGS)✿:"),
    Family("Qwen Coder", "tools", r"<function=[\w.:-]{1,64}>(?=\s*[<{])|<parameter=[\w.:-]{1,64}>"),
    Family("MiniMax", "tools", r"</?minimax:tool_call>|\]<\]minimax\[>\["),
    Family("Jamba, Hunyuan or MiniMax", "tools", r"</?tool_calls>"),
    Family("Claude", "tools", r'</?(?:antml:)?function_calls>|<(?:antml:|steptml:)?invoke name="[^"\n<>]{1,64}">'),
    Family("Nemotron", "tools", r"</?TOOLCALL>"),
    Family("LM Studio", "tools", r"\[(?:END_)?TOOL_REQUEST\]"),
    Family("Granite or Phi", "tools", r"<\|/?tool_calls?\|>|</?function_call>"),
    Family(
        "LFM or InternLM", "tools", r"<\|(?:tool_call|action|tool_list|tool_response)_(?:start|end)\|>|<\|plugin\|>"
    ),
    Family("Cohere", "tools", r"<\|(?:START|END)_(?:ACTION|TOOL_RESULT)\|>"),
    Family("Apertus", "tools", r"<\|tools_(?:prefix|suffix)\|>"),
    Family("Inkling", "tools", r"<\|content_invoke_tool_\w{1,20}\|>"),
    Family(
        "harmony",
        "tools",
        r"<\|(?:constrain|call)\|>|<\|channel\|>(?!(?:analysis|commentary|final)(?![\w<]| to=| <\|))",
    ),
    Family("thinking", "thinking", r"</?(?:\w{1,9}:)?(?:think|thinking|thought|reasoning)>|\[/?THINK\]|◁/?think▷"),
    Family("thinking", "thinking", r"<\|(?:begin|end)_of_thought\|>|<\|(?:START|END)_THINKING\|>"),
    Family("thinking", "thinking", r"<\|channel>thought\b|<\|content_thinking\|>|<\|inner_(?:prefix|suffix)\|>"),
    Family("ChatML", "control", r"<\|im_(?:start|end|sep)\|>"),
    Family("Llama", "control", r"<\|(?:eot_id|eot|start_header_id|end_header_id|begin_of_text|end_of_text)\|>"),
    Family("Llama", "control", r"<\|header_(?:start|end)\|>"),
    Family("DeepSeek", "control", rf"<{_BAR}(?:begin|end)[▁_]of[▁_]sentence{_BAR}>|<｜(?:User|Assistant)｜>"),
    Family("Mistral", "control", r"\[/?INST\]"),
    Family("Gemma", "control", r"<(?:start|end)_of_turn>|<\|turn>|<turn\|>|<\|channel>|<channel\|>"),
    Family("harmony", "control", r"<\|(?:message|return)\|>|<\|start\|>(?=assistant|system|user|functions)"),
    Family("GPT", "control", r"<\|endoftext\|>"),
    Family("GLM", "control", r"<\|(?:observation|assistant|user)\|>"),
    Family("MiniMax", "control", r"\[e~\[|\]~b\]|\]~!b\["),
    Family("EXAONE", "control", r"\[\|(?:endofturn|assistant|user|system)\|\]"),
    Family("SentencePiece", "control", r"<unused\d{1,3}>|<reserved_\d{1,4}>|<pad>|<unk>|(?<!<s>)</s>(?=\s*\Z)"),
    Family("SentencePiece", "control", r"(?<![^\n])<s>(?!.*</s>)"),
    Family(
        "a chat template",
        "control",
        rf"<{_BAR}(?:[A-Za-z]{{1,20}}[▁_][\w▁]{{1,40}}|end|system|pad|unk|box|turn|startoftext|bos|eos){_BAR}>",
    ),
)
"""Markup that begins with a sign. The first family whose pattern fits at a place names the marker there; the last has
what looks like a special token."""
IN_WORDS = (
    Family("Kimi", "tools", r"\bfunctions\.[\w-]{1,64}:\d{1,3}(?=\s*(?:\{|<\|))"),
    Family("Gemini", "tools", r"\bdefault_api[.:]\w{1,64}\s*[({]"),
    Family("Granite or Phi", "tools", r"\bfunctools\[(?=\s*\{)"),
    Family("harmony", "tools", r"\b(?:assistant)?(?:analysis|commentary) to=functions\.\w"),
)
"""Markup that begins with a letter, and is looked for only in a text that has one of ``_WORDS``."""
_WORDS = ("functions.", "default_api", "functools[")
_SIGNS = "<[]◁✿`"


def _any_of(families: Sequence[Family]) -> str:
    return "|".join(f"({family.pattern})" for family in families)


_SIGNED = re.compile(rf"(?=[{re.escape(_SIGNS)}])(?:{_any_of(FAMILIES)})")
_WORDED = re.compile(_any_of(IN_WORDS))


class Marker(NamedTuple):
    """One marker as it stands in a text, with its place there."""

    text: str
    family: Family
    start: int
    end: int


def markers(text: str) -> list[Marker]:
    """All markers in ``text``, in their order."""
    found: list[Marker] = []
    if any(sign in text for sign in _SIGNS):
        found += _found(_SIGNED, FAMILIES, text)
    if any(word in text for word in _WORDS):
        found += _found(_WORDED, IN_WORDS, text)
        found.sort(key=lambda marker: marker.start)
    return found


def _found(pattern: re.Pattern[str], families: Sequence[Family], text: str) -> Iterator[Marker]:
    for match in pattern.finditer(text):
        yield Marker(match[0], families[(match.lastindex or 1) - 1], match.start(), match.end())
