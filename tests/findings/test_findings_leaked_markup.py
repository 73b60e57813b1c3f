"""Markup of every family is found where it leaked, and not where it is talked about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.findings.leaked_markup import leaked, leaked_into_arguments
from kmon.findings.markup_families import FAMILIES

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
    ("harmony", "tools", "assistantcommentary to=functions.run json{}"),
    ("Kimi", "tools", 'functions.run:0{"cmd": "ls"}'),
    ("Kimi", "tools", '<|open|>tools<|sep|><|open|>call tool="run" index="1"<|sep|>'),
    ("DSML", "tools", '<｜｜DSML｜｜tool_calls>\n<｜｜DSML｜｜invoke name="run">'),
    ("Mistral", "tools", 'run[ARGS]{"cmd": "ls"}'),
    ("Gemma", "tools", '<|tool_call>call:run{cmd:<|"|>ls<|"|>}<tool_call|>'),
    ("Gemma", "tools", "<start_function_call>call:run{cmd:<escape>ls<escape>}<end_function_call>"),
    ("Gemini", "tools", "```tool_code\nprint(default_api.run(cmd='ls'))\n```"),
    ("Gemini", "tools", 'call:default_api:run{cmd:"ls"}'),
    ("Qwen, Hermes or GLM", "tools", "✿FUNCTION✿: run\n✿ARGS✿: {}"),
    ("Jamba, Hunyuan or MiniMax", "tools", '<tool_calls>[{"name": "run"}]</tool_calls>'),
    ("Nemotron", "tools", '<TOOLCALL>[{"name": "run"}]</TOOLCALL>'),
    ("LM Studio", "tools", '[TOOL_REQUEST]{"name": "run"}[END_TOOL_REQUEST]'),
    ("Granite or Phi", "tools", '<|tool_call|>[{"name": "run"}]'),
    ("Granite or Phi", "tools", 'functools[{"name": "run"}]'),
    ("LFM or InternLM", "tools", '<|tool_call_start|>[run(cmd="ls")]<|tool_call_end|>'),
    ("LFM or InternLM", "tools", '<|action_start|><|plugin|>{"name": "run"}<|action_end|>'),
    ("Cohere", "tools", '<|START_ACTION|>[{"tool_name": "run"}]<|END_ACTION|>'),
    ("Apertus", "tools", '<|tools_prefix|>[{"run": {}}]<|tools_suffix|>'),
    ("Inkling", "tools", '<|content_invoke_tool_json|>{"name":"run"}<|end_message|>'),
    ("thinking", "thinking", "<think>\nHm.\n</think>\nYes."),
    ("thinking", "thinking", "The user greets.</think>Hello!"),
    ("thinking", "thinking", "<|channel>thought\nHm.\n<channel|>Yes."),
    ("thinking", "thinking", "<|START_THINKING|>Hm.<|END_THINKING|>Yes."),
    ("thinking", "thinking", "Hm.\n</think>\n\nYes."),
    ("thinking", "thinking", "[THINK]Hm.[/THINK]Yes."),
    ("thinking", "thinking", "◁think▷Hm.◁/think▷Yes."),
    ("ChatML", "control", "Yes.<|im_end|>"),
    ("Llama", "control", "Yes.<|eot_id|><|start_header_id|>assistant"),
    ("DeepSeek", "control", "Yes.<｜end▁of▁sentence｜>"),
    ("Gemma", "control", "Yes.<end_of_turn>"),
    ("Gemma", "control", "Yes.<turn|>"),
    ("GPT", "control", "Yes.<|endoftext|>"),
    ("MiniMax", "control", "Yes.[e~["),
    ("EXAONE", "control", "Yes.[|endofturn|]"),
    ("SentencePiece", "control", "Yes.</s>"),
    ("a chat template", "control", "Yes.<|start_of_role|>user<|end_of_role|>"),
    ("a chat template", "control", "Yes.<|end|>"),
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
    "````md\n```\n<tool_call>\n```\n````\n",
    "The format is:\n\n    <tool_call>\n    {}\n    </tool_call>\n\nas its template says.",
    "Use ``<tool_call>`` for it.",
    "- <|im_start|>: begins a turn\n- <|im_end|> – ends it\n1. <|endoftext|>\n",
    "| token | meaning |\n|---|---|\n| <|im_start|> | begins a turn |\n",
    "The token **<|im_end|>** ends a turn.",
    "<|im_start|> → begins a turn\n<|im_end|> = ends it",
    "End token: <|im_end|>\nStart token: <|im_start|>\n",
    "Tokens like <|system|>,<|user|>,<|assistant|> are those of Phi.",
    "The turn ends with <|im_end|>",
    'Models write <tool_call>...</tool_call> or <function_calls><invoke name="x">…</invoke></function_calls> blocks.',
    "Strip it with re.sub(r'<think>.*?</think>', '', text).",
    "Harmony has <|channel|>analysis, <|channel|>commentary and <|channel|>final.",
    "Usage: tool [ARGS] [OPTIONS]",
    "It costs <s>20 EUR</s>",
    "The mean E[|X|], its <|x|>, List.map f <| xs |> g, a <|> b, <0|psi|0>.",
    "Call: get_weather {city}; ids are functions.run:0 there.",
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


def test_a_prompt_that_shows_a_family_talks_about_all_of_its_markers() -> None:
    assert leaked("They are <tool_call>\n{}\n</tool_call>.", prompt="Show me <tool_call>.") is None
    assert leaked("Yes.<|im_end|>", prompt="Show me <tool_call>.") is not None


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ('{"city": "Tokyo<|tool_call_end|>"}', "<|tool_call_end|>"),
        ('{"city": "<|\\"|>Tokyo<|\\"|>"}', '<|"|>'),
        ('{"city": "Tokyo</parameter>\\n</function>"}', "</parameter>\n</function>"),
        ('{"cities": ["Oslo</arg_value>"]}', "</arg_value>"),
        ('{"page": "<tool_call> and <think> are tags [INST]"}', None),
        ('{"text": "end = \\"<|im_end|>\\""}', None),
        ('{"text": "<|im_start|>user\\nHello<|im_end|>"}', None),
        ('{"text": "a <|im_end|> b<|im_end|>"}', None),
        ('{"text": "let y = x <| f |> g"}', None),
        ('{"text": "<function>\\n<parameter>x</parameter>\\n</function>"}', None),
        ('{"old": "<value>5</value>\\n</parameter>"}', None),
        ("", None),
    ],
)
def test_a_parser_leaves_a_marker_at_the_edge_of_an_argument(arguments: str, left: str | None) -> None:
    marker = leaked_into_arguments(arguments)
    assert (marker and marker.text) == left


@given(st.lists(st.sampled_from([text for _, _, text in LEAKED]) | st.text(max_size=9)).map("".join), st.text())
def test_no_text_makes_it_raise(text: str, prompt: str) -> None:
    leaked(text, prompt)
    leaked_into_arguments(text, prompt)
