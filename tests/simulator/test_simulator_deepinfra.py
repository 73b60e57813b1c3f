"""DeepInfra's native inference: one event per token, the end told by its details, no tools."""

from __future__ import annotations

import json

import httpx
import pytest

from kmon.simulator.server import Simulator
from tests.support.talk import Body, ledger

MODEL = "moonshotai/Kimi-K2.5"
KIMI = (
    "<|im_system|>system<|im_middle|>Be brief.<|im_end|><|im_user|>user<|im_middle|>{}<|im_end|>"
    "<|im_assistant|>assistant<|im_middle|>"
)
CHATML = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
CODE = "Write a Python class that caches values."


@pytest.fixture
def url(sim: Simulator) -> str:
    return f"{sim.base_url('deepinfra')}/inference/{MODEL}"


async def events(http: httpx.AsyncClient, url: str, prompt: str, fault: str = "smooth", **more: object) -> list[Body]:
    body = {"input": prompt, "stream": True, **more}
    answer = await http.post(url, json=body, headers={"x-kmon-fault": fault})
    assert answer.status_code == 200, answer.text
    return [json.loads(line.removeprefix("data:")) for line in answer.text.splitlines() if line.startswith("data:")]


def text(found: list[Body]) -> str:
    return "".join(event["token"]["text"] for event in found if "token" in event)


@pytest.mark.parametrize("template", [KIMI, CHATML, "{}"])
async def test_the_last_event_alone_has_the_whole_text_and_the_reason(
    template: str, url: str, http: httpx.AsyncClient
) -> None:
    *tokens, last = await events(http, url, template.format(CODE))
    assert all(event["generated_text"] is None and event["details"] is None for event in tokens)
    assert all(set(event["token"]) == {"id", "text", "logprob", "special"} for event in tokens)
    assert "class ExpiringCache" in text(tokens)
    assert last["generated_text"] == text(tokens)
    assert last["details"] == {"finish_reason": "stop"}
    assert last["num_output_tokens"] == len(tokens)
    assert last["num_input_tokens"] > 0


async def test_a_prompt_that_opens_the_thinking_is_answered_with_thoughts_first(
    url: str, http: httpx.AsyncClient
) -> None:
    thought, found, said = text(await events(http, url, KIMI.format("Say hello.") + "<think>")).partition("</think>")
    assert thought
    assert found
    assert said


async def test_max_new_tokens_is_obeyed(url: str, http: httpx.AsyncClient) -> None:
    found = await events(http, url, CODE, max_new_tokens=7)
    assert found[-1]["details"] == {"finish_reason": "length"}
    assert len(found) == 8


async def test_the_model_is_the_rest_of_the_path(sim: Simulator, http: httpx.AsyncClient) -> None:
    await events(http, f"{sim.origin}/v1/inference/{MODEL}", "Say hello.")
    row = (await ledger(sim, http))["requests"][-1]
    assert (row["provider"], row["model"], row["dialect"]) == ("deepinfra", MODEL, "deepinfra")


async def test_a_request_without_stream_gets_one_document(url: str, http: httpx.AsyncClient) -> None:
    document = (await http.post(url, json={"input": CODE})).json()
    assert "class ExpiringCache" in document["results"][0]["generated_text"]
    assert document["inference_status"]["status"] == "succeeded"


async def test_errors_come_inside_the_stream(url: str, http: httpx.AsyncClient) -> None:
    *tokens, error = await events(http, url, CODE, "error-in-200:after_tokens=4")
    assert len(tokens) == 4
    assert error == {"error_type": "server_error", "error_message": "Provider returned error: upstream overloaded"}


async def test_an_early_end_has_no_reason(url: str, http: httpx.AsyncClient) -> None:
    found = await events(http, url, CODE, "truncated-no-finish:after_tokens=4")
    assert [event["details"] for event in found] == [None] * 4


@pytest.mark.parametrize(
    ("body", "fault", "sentence"),
    [
        ({"input": "Hi", "tools": [{}]}, "smooth", "takes no tools; use /v1/openai/chat/completions"),
        ({"input": " "}, "smooth", "input: must not be empty"),
        ({}, "smooth", "not an inference request"),
        ({"input": "Hi"}, "finish-without-done", "deepinfra cannot have the fault finish-without-done"),
    ],
)
async def test_what_it_cannot_do_is_refused_in_a_sentence(
    body: Body, fault: str, sentence: str, url: str, http: httpx.AsyncClient
) -> None:
    answer = await http.post(url, json=body, headers={"x-kmon-fault": fault})
    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]["error"]
