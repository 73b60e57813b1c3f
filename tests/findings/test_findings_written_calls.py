"""A call that is written as the whole answer is found, in every form in use; an answer about calls is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.findings.written_calls import written_call

TOOLS = {"run", "stop"}
CALLS = [
    '{"name": "run", "parameters": {"cmd": "ls"}}',
    '{"type": "function", "name": "run", "parameters": {}}',
    '{"type": "function", "function": {"name": "run", "arguments": {}}}',
    '{"tool_calls": [{"name": "run", "arguments": {}}]}',
    '{"name": "run", "arguments": "{\\"cmd\\": \\"ls\\"}"}',
    '[{"name": "run", "arguments": {}}, {"name": "stop", "arguments": {}}]',
    '{"name": "run", "parameters": {}}; {"name": "stop", "parameters": {}}',
    '{"name": "run", "parameters": {}}\n{"name": "stop", "parameters": {}}',
    '```json\n{"name": "run", "parameters": {}}\n```',
    '[run(cmd="ls")]',
    '[run(cmd="ls"), stop()]',
    'run(cmd="ls")',
    '>>>run\n{"cmd": "ls"}',
    "call:run{cmd:ls}",
]
ANSWERS = [
    "",
    "Yes.",
    '{"city": "Tokyo"}',
    '{"name": "Tokyo", "arguments": {"for": "a visit"}}',
    '{"name": "run"}',
    '{"name": "run", "arguments": 3}',
    'It would be {"name": "run", "arguments": {}}.',
    'Use run(cmd="ls") for it.',
    '```python\nrun(cmd="ls")\n```',
    ">>> run('ls')\n['a']",
    "walk(far=True)",
    "[" * 9000,
]


@pytest.mark.parametrize("answer", CALLS)
def test_a_written_call_is_found_if_its_tool_is_offered(answer: str) -> None:
    assert written_call(answer, TOOLS) == "run"
    assert written_call(answer, {"walk"}) is None


@pytest.mark.parametrize("answer", ANSWERS)
def test_another_answer_is_none(answer: str) -> None:
    assert written_call(answer, TOOLS) is None


@given(st.lists(st.sampled_from([*CALLS, *ANSWERS[:-1]]) | st.text(max_size=9)).map("".join))
def test_no_text_makes_it_raise(answer: str) -> None:
    written_call(answer, TOOLS)
