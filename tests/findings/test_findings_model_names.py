"""Two names are two models only if both say so: each kind of spelling, and each part that tells models apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.findings.model_names import may_be_same

SAME = [
    ("meta-llama/Llama-3.1-405B-Instruct", "accounts/fireworks/models/llama-v3p1-405b-instruct"),
    ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"),
    ("claude-sonnet-4-0", "claude-sonnet-4-20250514"),
    ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet-20241022"),
    ("claude-3-5-sonnet@20240620", "claude-3-5-sonnet-20240620"),
    ("gpt-4o", "gpt-4o-2024-08-06"),
    ("gpt-35-turbo", "gpt-3.5-turbo-0125"),
    ("kimi-k2-0905", "moonshotai/Kimi-K2-Instruct-0905"),
    ("kimi-k2.5", "kimi-k2p5"),
    ("kimi-k2-5", "kimi-k2.5"),
    ("gemini-flash-latest", "gemini-2.5-flash-preview-09-2025"),
    ("mistral-small", "mistral-small-3.2-24b-instruct-2506"),
    ("claude-sonnet-4.5", "claude-sonnet-4-5-20250929"),
    ("deepseek/deepseek-chat-v3-0324:free", "deepseek-v3-0324"),
    ("grok-4-fast-non-reasoning", "grok-4-fast-non-reasoning"),
    ("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "qwen3-235b-a22b-instruct-2507"),
    ("openai/gpt-oss-120b", "gpt-oss-120b"),
    ("o3-mini", "o3-mini-2025-01-31"),
    ("glm-4.6", "zai-org/GLM-4.6-FP8"),
    ("glm-4p6", "GLM-4.6"),
    ("meta-llama/Llama-3.3-70B-Instruct-Turbo", "llama-3.3-70b-versatile"),
    ("llama-4-scout-17b-16e-instruct", "meta-llama/Llama-4-Scout-17B-16E-Instruct"),
    ("amazon.nova-pro-v1:0", "nova-pro-v1"),
    ("qwen-plus", "qwen-plus-2025-07-28"),
    ("my-deploy", "gpt-4o"),
    ("gemini-2.5-pro", "models/gemini-2.5-pro"),
    ("minimax-m2", "MiniMaxAI/MiniMax-M2"),
    ("chatgpt-4o-latest", "chatgpt-4o-latest"),
    ("mistral-large-latest", "mistral-large-2411"),
    ("command-r-plus-08-2024", "command-r-plus"),
    ("phi-4", "microsoft/Phi-4"),
    ("sonar-pro", "sonar-pro"),
    ("deepseek-chat", "DeepSeek-V3.2"),
    ("deepseek-reasoner", "deepseek-reasoner"),
    ("deepseek-r1", "deepseek-ai/DeepSeek-R1-0528"),
    ("codestral-latest", "codestral-2508"),
    ("claude-haiku-4-5", "claude-haiku-4-5-20251001"),
    ("gpt-4.1", "gpt-4.1-2025-04-14"),
    ("gpt-5", "gpt-5-2025-08-07"),
    ("Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b-32768"),
    ("google/gemma-3-27b-it", "gemma-3-27b"),
    ("llama3.1:8b", "llama3.1:8b"),
    ("llama3.1", "llama3.1:8b"),
    ("qwen3:0.6b", "qwen3:0.6b"),
    ("gpt-5.2", "gpt-5.2-chat-latest"),
    ("moonshotai/Kimi-K2.6", "accounts/fireworks/models/kimi-k2p6"),
    ("moonshotai/Kimi-K2-Instruct", "moonshotai/kimi-k2-0905"),
    ("kimi-latest", "kimi-k2.6"),
    ("openrouter/auto", "moonshotai/kimi-k2.6"),
    ("my-model", "something-else"),
    ("grok-4-fast", "grok-4-fast-reasoning"),
    ("gpt-4-turbo-preview", "gpt-4-0125-preview"),
    ("claude-sonnet-4-5-20250929-thinking", "claude-sonnet-4-5-20250929"),
    ("gemini-2.5-pro-thinking", "gemini-2.5-pro"),
    ("claude-opus-4-6-fast", "claude-opus-4-6"),
    ("gpt-5-medium", "gpt-5-2025-08-07"),
    ("o3-mini-medium", "o3-mini-2025-01-31"),
    ("company-claude", "claude-sonnet-4-5"),
    ("llama4:scout", "meta-llama/Llama-4-Scout-17B-16E-Instruct"),
    ("Llama-3.2-11B-Vision-Instruct", "llama-3.2-11b"),
    ("deepseek-r1:70b", "deepseek-r1-distill-llama-70b"),
    ("deepseek-r1:671b", "deepseek-r1"),
    ("@cf/meta/llama-3.1-8b-instruct-fp8-fast", "llama-3.1-8b-instruct"),
    ("llama-3.3-nemotron-super-49b-v1.5", "Llama-3_3-Nemotron-Super-49B-v1_5"),
    ("moonshot.kimi-k2-thinking", "kimi-k2-thinking"),
    ("step-3", "stepfun/step-3"),
]
DIFFERENT = [
    ("meta-llama/Llama-3.1-405B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
    ("gpt-4o", "gpt-4o-mini-2024-07-18"),
    ("claude-opus-4", "claude-3-haiku-20240307"),
    ("claude-opus-4-5", "claude-haiku-4-5"),
    ("deepseek-r1", "deepseek-r1-distill-llama-70b"),
    ("kimi-k2-0711", "kimi-k2-0905"),
    ("kimi-k2", "kimi-k2-thinking"),
    ("kimi-k2", "kimi-k2.5"),
    ("kimi-k2", "gpt-4o"),
    ("gemini-2.5-flash", "gemini-2.5-flash-lite"),
    ("gpt-4o", "gpt-4.1"),
    ("llama-3-70b", "llama-3.1-70b"),
    ("qwen3-32b", "qwen2.5-32b"),
    ("deepseek-v3", "deepseek-r1"),
    ("gpt-4", "gpt-4o"),
    ("gpt-5", "gpt-5-mini"),
    ("o3", "o3-mini"),
    ("o1", "o3"),
    ("grok-4-fast-reasoning", "grok-4-fast-non-reasoning"),
    ("sonar", "sonar-pro"),
    ("mistral-large-2407", "mistral-large-2411"),
    ("Qwen3-30B-A3B-Instruct", "Qwen3-30B-A3B-Thinking"),
    ("command-r", "command-r-plus"),
    ("llama-3.1-8b", "llama-3.1-8b-base"),
    ("gpt-oss-120b", "gpt-oss-20b"),
    ("glm-4.6", "glm-4.5-air"),
    ("claude-3-5-sonnet", "claude-3-7-sonnet"),
    ("gpt-4o-2024-05-13", "gpt-4o-2024-08-06"),
    ("moonshotai/Kimi-K2.6", "moonshotai/kimi-k2.5"),
    ("kimi-k2-thinking", "kimi-k2-instruct"),
    ("grok-4", "grok-4-fast"),
    ("command-a", "command-r"),
    ("step-3", "step-2-mini"),
    ("yi-large", "yi-lightning"),
    ("moonshot-v1-128k", "kimi-k2"),
    ("deepseek-r1-0528", "deepseek-r1-0528-qwen3-8b"),
    ("llama4:scout", "llama4:maverick"),
    ("claude", "gpt-4o"),
]
NAMES = st.sampled_from([name for pair in SAME + DIFFERENT for name in pair]) | st.text(max_size=20)


@pytest.mark.parametrize(("asked", "served"), SAME)
def test_spellings_of_one_model(asked: str, served: str) -> None:
    assert may_be_same(asked, served)
    assert may_be_same(served, asked)


@pytest.mark.parametrize(("asked", "served"), DIFFERENT)
def test_other_models(asked: str, served: str) -> None:
    assert not may_be_same(asked, served)
    assert not may_be_same(served, asked)


@given(NAMES, NAMES)
def test_no_name_makes_it_raise_and_a_name_is_itself(one: str, other: str) -> None:
    assert may_be_same(one, other) == may_be_same(other, one)
    assert may_be_same(one, one.upper())
