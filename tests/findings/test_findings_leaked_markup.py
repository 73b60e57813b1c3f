"""Markup of every family is found where it leaked, and not where it is talked about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.findings.leaked_markup import FAMILIES, leaked, leaked_into_arguments

LEAKED = [
    ("Kimi", "tools", "I call it: <|tool_calls_section_begin|><|tool_call_begin|>functions.run:0"),
    ("DSML", "tools", 'On it. <｜DSML｜function_calls>\n<｜DSML｜invoke name="run">'),
    ("DeepSeek", "tools", "Let me see.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>run"),
    ("Llama", "tools", '<|python_tag|>{"name": "run"}'),
    ("Mistral", "tools", 'On it. [TOOL_CALLS][{"name": "run"}]'),
    ("Mistral", "tools", "[TOOL_CALLS]run[ARGS]{}"),
    ("Qwen, Hermes or GLM", "tools", 'On it. <tool_call>\n{"name": "run"}\n</tool_call>'),
    ("Qwen, Hermes or GLM", "tools", "<tool_call>run\n<arg_key>a</arg_key>\n<arg_value>b</arg_value>"),
    ("Qwen Coder", "tools", "On it. <function=run>\n<parameter=cmd>\nls\n</parameter>"),
    ("MiniMax", "tools", '<minimax:tool_call>\n<invoke name="run">'),
    ("Claude", "tools", '<function_calls>\n<invoke name="run">'),
    ("harmony", "tools", "<|channel|>analysis<|message|>Need it.<|end|>"),
    ("thinking", "thinking", "<think>\nHm.\n</think>\nYes."),
    ("thinking", "thinking", "Hm.\n</think>\n\nYes."),
    ("thinking", "thinking", "[THINK]Hm.[/THINK]Yes."),
    ("thinking", "thinking", "◁think▷Hm.◁/think▷Yes."),
    ("ChatML", "control", "Yes.<|im_end|>"),
    ("Llama", "control", "Yes.<|eot_id|><|start_header_id|>assistant"),
    ("DeepSeek", "control", "Yes.<｜end▁of▁sentence｜>"),
    ("Gemma", "control", "Yes.<end_of_turn>"),
    ("GPT", "control", "Yes.<|endoftext|>"),
]
TALKED_ABOUT = [
    'Its template writes `<｜DSML｜invoke name="x">` and ```\n[TOOL_CALLS][{}]\n<function=x>\n``` around a call.',
    'Kimi starts its calls with "<|tool_calls_section_begin|>" and ends them with another.',
    "Hermes models wrap calls in <tool_call> tags, which parsers look for.",
    "Kimi uses <|tool_call_begin|> and <|tool_call_end|>.",
    "Turns are set apart by markers (<|im_start|>, <|im_end|>).",
    "The <think> tag is that of R1.",
    "[INST] is the marker of Llama 2, “[/INST]” ends it.",
    "Wrap your steps in a <reasoning> element of the XML file.",
    "Write <|endoftext|>, then a line break.",
    "~~~\n<|im_start|>user\n~~~",
    "a < b and c[0] > d, so [THINKING] is a word",
]


@pytest.mark.parametrize(("family", "use", "text"), LEAKED)
def test_each_family_is_found(family: str, use: str, text: str) -> None:
    marker = leaked(text)
    assert marker is not None
    assert (marker.family.name, marker.family.use) == (family, use)
    assert leaked(text, prompt=text) is None


def test_every_family_of_tool_markup_is_tried() -> None:
    tried = {(family, use) for family, use, _ in LEAKED}
    assert {(family.name, family.use) for family in FAMILIES if family.use != "control"} <= tried


@pytest.mark.parametrize("text", TALKED_ABOUT)
def test_markup_that_is_talked_about_is_none(text: str) -> None:
    assert leaked(text) is None


def test_tool_markup_counts_before_the_rest() -> None:
    marker = leaked("<think>\nHm.\n</think>\n<tool_call>{}</tool_call>")
    assert marker is not None
    assert marker.text == "<tool_call>"


def test_arguments_may_hold_tags_but_no_tokens_of_a_template() -> None:
    assert leaked_into_arguments('{"page": "<tool_call> and <think> are tags [INST]"}') is None
    marker = leaked_into_arguments('{"city": "Tokyo<|tool_call_end|>"}')
    assert marker is not None
    assert marker.text == "<|tool_call_end|>"


@given(st.lists(st.sampled_from([text for _, _, text in LEAKED]) | st.text(max_size=9)).map("".join), st.text())
def test_no_text_makes_it_raise(text: str, prompt: str) -> None:
    leaked(text, prompt)
    leaked_into_arguments(text, prompt)
