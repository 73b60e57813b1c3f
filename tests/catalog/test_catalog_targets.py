"""Promises about the built-in targets: each is usable as it stands and obeys what its provider is known to refuse."""

import re
from urllib.parse import urlsplit

import pytest

from kmon.address import is_loopback
from kmon.catalog.aws import KEY_ENV, base_url_of
from kmon.catalog.load import load_catalog
from kmon.dialects.registry import http_dialect
from kmon.model import Target

CATALOG = load_catalog()
SAMPLING = {"temperature", "top_p", "top_k", "n", "seed", "presence_penalty", "frequency_penalty"}
KNOWN = {
    "together", "fireworks", "groq", "deepinfra", "openrouter", "moonshot", "moonshot-cn", "kimi-coding",
    "nvidia", "mistral", "openai", "ollama", "vllm", "lm-studio", "bedrock/kimi-k2.5", "bedrock/mistral-large-3",
    "bedrock/nova-pro", "ollama-native", "deepinfra-native", "kimi-code", "moonshot-messages", "gateway",
    "anthropic", "xai", "deepseek", "cerebras", "zai", "minimax", "alibaba", "sambanova", "baseten", "huggingface",
    "novita", "siliconflow", "chutes", "azure", "vertex", "vertex-anthropic", "openai-responses",
}  # fmt: skip
"""Targets whose settings are checked here one by one. A further target needs no line here."""
WITH_KIMI = (
    "together", "fireworks", "deepinfra", "openrouter", "moonshot", "moonshot-cn", "nvidia", "alibaba", "baseten",
    "huggingface", "novita", "siliconflow", "chutes", "azure",
)  # fmt: skip
UNVERSIONED = ("converse", "ollama")
"""Dialects whose paths have no version."""


def test_no_target_was_lost() -> None:
    assert set(CATALOG.targets) >= KNOWN


@pytest.mark.parametrize("target", CATALOG.targets.values(), ids=CATALOG.targets.keys())
def test_a_target_reaches_a_versioned_url_and_keys_travel_encrypted(target: Target) -> None:
    parts = urlsplit(target.base_url)
    if target.dialect == "openclaw":
        assert (parts.scheme, parts.path) == ("ws", "") and is_loopback(target.base_url)
        return
    assert re.search(r"/v\d", parts.path) or target.dialect in UNVERSIONED
    assert not target.base_url.endswith("/")
    assert parts.scheme == ("http" if is_loopback(target.base_url) else "https")
    assert bool(target.key_env) != is_loopback(target.base_url)


@pytest.mark.parametrize("name", WITH_KIMI)
def test_a_host_of_kimi_defaults_to_kimi_and_controls_with_another_family(name: str) -> None:
    target = CATALOG.targets[name]
    assert "kimi-k2" in target.model.lower()
    assert target.control_model is not None and "kimi" not in target.control_model


@pytest.mark.parametrize(
    "name", ["groq", "mistral", "openai", "anthropic", "xai", "deepseek", "cerebras", "zai", "minimax", "sambanova"]
)
def test_a_host_without_kimi_has_a_default_of_its_own_and_says_so(name: str) -> None:
    target = CATALOG.targets[name]
    assert "kimi" not in target.model.lower()
    assert any("No Kimi here" in quirk for quirk in target.quirks)


@pytest.mark.parametrize("target", CATALOG.targets.values(), ids=CATALOG.targets.keys())
def test_the_control_is_another_model(target: Target) -> None:
    assert target.control_model != target.model or target.name == "groq"


def test_nobody_is_sent_sampling_parameters() -> None:
    assert not [name for name, target in CATALOG.targets.items() if SAMPLING & target.body.keys()]


def test_the_token_cap_is_the_one_the_provider_reads() -> None:
    modern = {name for name in KNOWN if CATALOG.targets[name].token_cap == "max_completion_tokens"}
    assert modern == {"groq", "moonshot", "moonshot-cn", "kimi-coding", "openai", "xai", "cerebras", "azure"}


def test_usage_is_not_asked_for_where_asking_hurts_or_is_not_needed() -> None:
    unasked = {name for name in KNOWN if not CATALOG.targets[name].stream_options}
    assert unasked == {"nvidia", "mistral", "deepinfra", "openrouter", "cerebras"}


def test_bedrock_is_three_families_through_one_door_in_one_region() -> None:
    targets = [target for target in CATALOG.targets.values() if target.provider == "bedrock"]
    assert [target.name for target in targets] == ["bedrock/kimi-k2.5", "bedrock/mistral-large-3", "bedrock/nova-pro"]
    assert [target.model for target in targets] == [
        "moonshotai.kimi-k2.5", "mistral.mistral-large-3-675b-instruct", "amazon.nova-pro-v1:0",
    ]  # fmt: skip
    assert {(t.dialect, t.auth, t.key_env, base_url_of(t, {})) for t in targets} == {
        ("converse", "aws", KEY_ENV, "https://bedrock-runtime.us-east-1.amazonaws.com")
    }


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("kimi-code", "https://api.kimi.com/coding/v1/messages"),
        ("moonshot-messages", "https://api.moonshot.ai/anthropic/v1/messages"),
        ("deepinfra-native", "https://api.deepinfra.com/v1/inference/moonshotai/Kimi-K2.6"),
        (
            "bedrock/nova-pro",
            "https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse-stream",
        ),
    ],
)
def test_another_dialect_reaches_its_own_path(name: str, url: str) -> None:
    target, scenario = CATALOG.targets[name], CATALOG.scenarios["minimal"]
    request = http_dialect(target.dialect).request(target, scenario, scenario.messages)
    assert base_url_of(target, {"AWS_REGION": "eu-west-1"}) + request.path == url


def test_no_target_pretends_to_be_another_client() -> None:
    for target in CATALOG.targets.values():
        assert "user-agent" not in {header.lower() for header in target.headers}


def test_kimi_for_coding_says_that_it_is_gated() -> None:
    assert any("gated by User-Agent" in quirk for quirk in CATALOG.targets["kimi-coding"].quirks)
