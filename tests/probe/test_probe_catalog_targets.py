"""Promises about requests to the built-in targets, on real sockets: URL, key, headers and body fit the host."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from kmon.catalog.environment import Environment
from kmon.catalog.keys import credential, key_problem
from kmon.catalog.load import load_catalog
from kmon.catalog.trust import Trust
from kmon.catalog.url_variables import URL_VARIABLES
from kmon.dialects.registry import dialect, http_dialect
from kmon.model import Scenario, Target
from kmon.probe.send import Shared, open_exchange, url_of
from tests.support.scripted_provider import Asked, provider, writing

KEY = "sk-very-secret-0123456789"
PLACES = {"AZURE_RESOURCE_NAME": "My-Res", "GOOGLE_CLOUD_PROJECT": "my-project", "GOOGLE_CLOUD_LOCATION": "us-east5"}
CATALOG = load_catalog(env=PLACES)
MINIMAL = CATALOG.scenarios["minimal"]
HTTP = [target for target in CATALOG.targets.values() if dialect(target.dialect).transport == "http"]
VERTEX = "https://us-east5-aiplatform.googleapis.com/v1/projects/my-project/locations/us-east5/publishers"
CHAT = "/chat/completions"
URLS = {
    "openai": f"https://api.openai.com/v1{CHAT}",
    "openai-responses": "https://api.openai.com/v1/responses",
    "anthropic": "https://api.anthropic.com/v1/messages",
    "xai": f"https://api.x.ai/v1{CHAT}",
    "deepseek": f"https://api.deepseek.com/v1{CHAT}",
    "cerebras": f"https://api.cerebras.ai/v1{CHAT}",
    "zai": f"https://api.z.ai/api/paas/v4{CHAT}",
    "minimax": "https://api.minimax.io/anthropic/v1/messages",
    "alibaba": f"https://dashscope-intl.aliyuncs.com/compatible-mode/v1{CHAT}",
    "sambanova": f"https://api.sambanova.ai/v1{CHAT}",
    "baseten": f"https://inference.baseten.co/v1{CHAT}",
    "huggingface": f"https://router.huggingface.co/v1{CHAT}",
    "novita": f"https://api.novita.ai/openai/v1{CHAT}",
    "siliconflow": f"https://api.siliconflow.com/v1{CHAT}",
    "chutes": f"https://llm.chutes.ai/v1{CHAT}",
    "azure": f"https://my-res.openai.azure.com/openai/v1{CHAT}",
    "gemini": "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    "vertex": f"{VERTEX}/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    "vertex-anthropic": f"{VERTEX}/anthropic/models/claude-haiku-4-5@20251001:streamRawPredict",
    "together": f"https://api.together.ai/v1{CHAT}",
    "kimi-code": "https://api.kimi.com/coding/v1/messages",
}
"""Where a request goes, as the host's documentation has it."""
KEY_HEADERS = {
    "anthropic": "x-api-key", "minimax": "x-api-key", "kimi-code": "x-api-key", "gemini": "x-goog-api-key",
    "azure": "api-key",
}  # fmt: skip
"""The header with the bare key; all other targets send a bearer token."""


@pytest.fixture(scope="module")
def shared() -> Shared:
    return Shared()


def env_of(target: Target) -> Environment:
    return Environment(PLACES | ({target.key_env[0]: KEY} if target.key_env else {}))


async def asked(target: Target, shared: Shared, scenario: Scenario = MINIMAL) -> Asked:
    """What a server on loopback gets that stands in for the host of ``target``."""
    request = http_dialect(target.dialect).request(target, scenario, scenario.messages)
    async with provider(writing(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")) as seen:
        local = replace(target, base_url=seen.url + urlsplit(target.base_url).path)
        held = credential(local, env_of(target), Trust())
        async with open_exchange(
            local,
            request,
            credential=held,
            shared=shared,
            on_phase=lambda phase, t_ns, detail: None,
            connect_timeout_s=10,
        ) as answer:
            assert answer.status == 200
    return seen.asked[0]


@pytest.mark.parametrize("target", HTTP, ids=[target.name for target in HTTP])
async def test_a_request_is_what_its_host_reads_and_has_the_key_in_one_header(target: Target, shared: Shared) -> None:
    held = credential(target, env_of(target), Trust())
    request = http_dialect(target.dialect).request(target, MINIMAL, MINIMAL.messages)
    url = url_of(target, request, held)
    assert url == URLS.get(target.name, url) and "{" not in url
    sent = await asked(target, shared)
    assert url.endswith(sent.target) and sent.target.startswith(urlsplit(target.base_url).path)
    bearing = [name for name, value in sent.headers.items() if KEY in value]
    assert bearing == ([KEY_HEADERS.get(target.name, "authorization")] if target.key_env else [])
    if bearing == ["authorization"]:
        assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in sent.target + sent.raw_body.decode()
    assert sent.body.get("model", target.model) == target.model or target.model in sent.target
    assert sent.body.get("stream") is True or ":stream" in sent.target
    assert sent.headers["content-type"] == "application/json"
    if target.dialect == "chat":
        caps = {name for name in ("max_tokens", "max_completion_tokens") if name in sent.body}
        assert caps == {target.token_cap}
        assert ("stream_options" in sent.body) is target.stream_options
    if target.dialect == "messages":
        version = "anthropic_version" if target.name == "vertex-anthropic" else ""
        assert ("anthropic-version" in sent.headers) is not bool(version) and ("model" in sent.body) is not bool(
            version
        )


@pytest.mark.parametrize("target", HTTP, ids=[target.name for target in HTTP])
def test_a_missing_key_is_told_by_the_name_of_its_variable(target: Target) -> None:
    problem = key_problem(target, Environment(PLACES))
    if not target.key_env:
        assert problem is None
        return
    names = " or ".join(target.key_env)
    assert problem == f"{names} is not set (needed by target {target.name}); put it in .env or run 'kmon --demo'"


@pytest.mark.parametrize("target", [each for each in HTTP if each.key_env], ids=lambda target: target.name)
def test_each_variable_of_the_key_will_do(target: Target) -> None:
    for name in target.key_env:
        assert credential(target, Environment(PLACES | {name: KEY}), Trust()).key == KEY


def test_the_stand_ins_of_this_file_fill_every_variable() -> None:
    assert all(known.value(PLACES) for known in URL_VARIABLES.values())
    assert json.dumps([target.base_url for target in HTTP]).count("{") == 0
