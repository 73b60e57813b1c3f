"""Ollama's own client reads the simulator like any server of Ollama; kmon sees it through run, proxy and checks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from kmon.model import Target
from kmon.simulator.server import Simulator
from kmon.stream import events as ev
from tests.support.racing import outcome, plan
from tests.support.talk import Body
from tests.support.watching import proxying

if TYPE_CHECKING:
    import ollama

pytestmark = pytest.mark.references
CODE = {"role": "user", "content": "Write a Python class that caches values."}
OSLO = {"role": "user", "content": "What is the weather in Oslo?"}


@asynccontextmanager
async def client(sim: Simulator, fault: str = "smooth", origin: str = "") -> AsyncIterator[ollama.AsyncClient]:
    import ollama  # here, since every process of the tests imports all of them

    host = origin or f"{sim.origin}/ollama"
    ai = ollama.AsyncClient(host=host, headers={"x-kmon-fault": fault}, trust_env=False)
    try:
        yield ai
    finally:
        await ai.close()


async def chatted(sim: Simulator, fault: str = "smooth", **asked: object) -> list[ollama.ChatResponse]:
    async with client(sim, fault) as ai:
        return [part async for part in await ai.chat(model="qwen3", stream=True, **asked)]  # type: ignore[call-overload]


async def test_words_thinking_counts_and_times_are_read(sim: Simulator) -> None:
    *parts, end = await chatted(sim, "long-reasoning:reasoning_tokens=20", messages=[CODE])
    assert "class ExpiringCache" in "".join(part.message.content or "" for part in parts)
    assert "".join(part.message.thinking or "" for part in parts)
    assert not any(part.done for part in parts)
    assert (end.done, end.done_reason) == (True, "stop")
    assert end.prompt_eval_count and end.eval_count and end.eval_count > 20
    durations = (end.load_duration, end.prompt_eval_duration, end.eval_duration, end.total_duration)
    assert all(isinstance(duration, int) and duration > 0 for duration in durations)
    assert sum(durations[:3]) == pytest.approx(end.total_duration, abs=5)  # type: ignore[arg-type]


async def test_a_call_is_whole_and_its_result_is_answered(sim: Simulator, weather: Body) -> None:
    parts = await chatted(sim, messages=[OSLO], tools=[weather])
    (called,) = [call for part in parts for call in part.message.tool_calls or ()]
    assert (called.function.name, called.function.arguments) == ("get_weather", {"city": "Oslo"})
    assert parts[-1].done_reason == "stop", "there is no reason of its own for calls"
    again = [
        OSLO,
        {"role": "assistant", "content": "", "tool_calls": [called.model_dump()]},
        {"role": "tool", "tool_name": "get_weather", "content": '{"temp": 22}'},
    ]
    answer = await chatted(sim, messages=again, tools=[weather])
    assert "22" in "".join(part.message.content or "" for part in answer)


async def test_a_whole_answer_and_a_generation_are_read(sim: Simulator) -> None:
    async with client(sim) as ai:
        whole = await ai.chat(model="qwen3", messages=[CODE], options={"num_predict": 7})
        stream = await ai.generate(model="qwen3", prompt="Say OK.", system="Be brief.", stream=True)
        parts = [part async for part in stream]
    assert (whole.done_reason, whole.eval_count) == ("length", 7)
    assert "".join(part.response for part in parts)
    assert parts[-1].done and parts[-1].prompt_eval_count


async def test_what_does_not_mention_a_stream_is_streamed(sim: Simulator, http: httpx.AsyncClient) -> None:
    answer = await http.post(f"{sim.origin}/api/chat", json={"model": "m", "messages": [CODE]})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["done"] for line in answer.text.splitlines()][-2:] == [False, True]


async def test_errors_are_raised_inside_a_stream_and_before_it(sim: Simulator) -> None:
    import ollama

    with pytest.raises(ollama.ResponseError, match="upstream overloaded"):
        await chatted(sim, "error-in-200", messages=[CODE])
    with pytest.raises(ollama.ResponseError) as limited:
        await chatted(sim, "rate-limited", messages=[CODE])
    assert limited.value.status_code == 429
    with pytest.raises(ollama.ResponseError, match="must not be empty"):
        await chatted(sim, messages=[])
    with pytest.raises(ollama.ResponseError, match="ollama cannot have the fault keepalives-only"):
        await chatted(sim, "keepalives-only", messages=[CODE])


async def test_its_models_are_listed(sim: Simulator) -> None:
    async with client(sim) as ai:
        assert "sim/smooth" in [model.model for model in (await ai.list()).models]


def aimed(sim: Simulator, fault: str) -> Target:
    headers = {"x-kmon-fault": fault}
    return Target(name="here", provider="ollama", model="m", dialect="ollama", base_url=sim.origin, headers=headers)


@pytest.mark.parametrize(
    ("fault", "state", "signature", "loaded"),
    [
        ("smooth", "done", None, False),
        ("slow-headers:duration_s=200", "done", None, True),
        ("error-in-200:after_tokens=1", "failed", "error-in-stream", False),
        ("truncated-no-finish:after_tokens=1", "incomplete", "truncated-no-finish", False),
    ],
)
async def test_kmon_names_its_faults_and_tells_how_long_it_loaded(
    sim: Simulator, fault: str, state: str, signature: str | None, loaded: bool
) -> None:
    (ended,), _ = await outcome(plan(aimed(sim, fault)), {})
    assert (ended.state, ended.signature) == (state, signature), ended
    assert ("loaded the model" in ended.evidence) is loaded
    assert ("server-load-ms" in ended.request_ids) is (state == "done")


@pytest.mark.parametrize("stream", [True, False])
async def test_its_client_is_read_where_it_passes_the_proxy(sim: Simulator, stream: bool) -> None:
    async with proxying(sim.origin) as middle, client(sim, origin=middle.origin) as ai:
        answer = await ai.chat(model="qwen3", messages=[CODE], stream=stream)  # type: ignore[call-overload]
        if stream:
            async for _ in answer:
                await asyncio.sleep(0)
        ended = await middle.watched.ended()
    assert isinstance(ended, ev.RunEnded)
    assert (ended.label, ended.state, ended.signature, ended.unread) == ("test/qwen3", "done", None, False)
    assert "class ExpiringCache" in ended.text
    assert ended.usage is not None and ended.usage.completion_tokens
