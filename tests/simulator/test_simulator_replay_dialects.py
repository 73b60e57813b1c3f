"""Recorded Bedrock and Messages streams are served again, to the clients that speak them."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from kmon.dialects.eventstream_writer import event
from kmon.dialects.framing import EVENT_STREAM_TYPE
from kmon.recording import Interaction, Request, load
from kmon.simulator.profile import load as load_profile
from kmon.simulator.replay import recorded_script, replay_scripts, replay_targets
from kmon.simulator.script import SendChunk, SendHead
from kmon.simulator.server import Simulator
from tests.support.aws import NOVA, TOOLS, converse, names, result, text, tokyo, used, user

FRAMES = [
    event("messageStart", b'{"role":"assistant"}'),
    event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"22"}}'),
    event("messageStop", b'{"stopReason":"end_turn"}'),
    event("metadata", b'{"usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":7}}'),
]
ASKED = {
    "messages": [user("Weather for Tokyo?"), used(), user(result(), "And say please.")],
    "system": [{"text": "Be brief."}],
    "toolConfig": TOOLS,
    "inferenceConfig": {"maxTokens": 77},
}
MESSAGE = (
    'event: message_start\ndata: {"type":"message_start","message":{"model":"kimi-k2.5"}}\n\n'
    'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


def recorded(body: bytes = b"".join(FRAMES), asked: object = ASKED) -> Interaction:
    url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse-stream"
    request = Request("POST", url, {}, json.dumps(asked).encode())
    return Interaction(3, request, 200, {}, body, "converse", True, 400.0)


def test_a_frame_is_a_chunk_and_a_cut_tail_stays_cut() -> None:
    script = recorded_script(recorded(b"".join(FRAMES) + FRAMES[0][:20]))
    assert [step.data for step in script if isinstance(step, SendChunk)] == [*FRAMES, FRAMES[0][:20]]
    assert isinstance(script[0], SendHead)
    assert ("content-type", EVENT_STREAM_TYPE) in script[0].headers


def test_the_request_becomes_a_scenario_in_no_dialect() -> None:
    ((target, scenario),) = replay_targets({"x.yaml": [recorded()]}, "http://127.0.0.1:9")
    assert (target.dialect, target.base_url) == ("converse", "http://127.0.0.1:9/replay/0-x/3")
    assert target.label == f"bedrock/{NOVA}"
    assert [message.role for message in scenario.messages] == ["system", "user", "assistant", "tool", "user"]
    assert scenario.messages[2].tool_calls[0].arguments == {"city": "Tokyo"}
    assert scenario.messages[3].content == '{"temp":22}'
    assert [tool.name for tool in scenario.tools] == ["get_weather"]
    assert scenario.max_tokens == 77


def test_a_request_that_makes_no_sense_can_still_be_raced() -> None:
    ((_, scenario),) = replay_targets({"x.yaml": [recorded(asked={"messages": 3})]}, "http://127.0.0.1:9")
    assert len(scenario.messages) == 1


async def test_boto3_reads_a_replayed_stream() -> None:
    files = {"x.yaml": [recorded()]}
    async with Simulator(load_profile("smooth"), replays=replay_scripts(files, speed=100)) as simulator:
        ((target, _),) = replay_targets(files, simulator.origin)
        _, events = await converse(target.base_url, tokyo(), model=target.model, toolConfig=TOOLS)
    assert names(events) == ["messageStart", "contentBlockDelta", "messageStop", "metadata"]
    assert text(events) == "22"


async def test_a_messages_body_is_replayed_byte_for_byte(tmp_path: Path, http: httpx.AsyncClient) -> None:
    file = tmp_path / "kimi.body"
    file.write_text(MESSAGE)
    files = {str(file): load(file)}
    async with Simulator(load_profile("smooth"), replays=replay_scripts(files, speed=100)) as simulator:
        ((target, _),) = replay_targets(files, simulator.origin)
        assert (target.dialect, target.model) == ("messages", "kimi-k2.5")
        answer = await http.post(f"{target.base_url}/v1/messages", json={})
    assert answer.text == MESSAGE


async def test_a_native_stream_of_deepinfra_is_replayed_with_its_prompt_taken_apart(http: httpx.AsyncClient) -> None:
    body = b'data: {"token":{"text":"22"},"generated_text":"22","details":{"finish_reason":"stop"}}\n\n'
    prompt = "<|im_start|>user\nWeather?<|im_end|>\n<|im_start|>assistant\n"
    url = "https://api.deepinfra.com/v1/inference/moonshotai/Kimi-K2.5"
    request = Request("POST", url, {}, json.dumps({"input": prompt, "stream": True, "max_new_tokens": 9}).encode())
    files = {"x.yaml": [Interaction(0, request, 200, {}, body, "deepinfra", True)]}
    async with Simulator(load_profile("smooth"), replays=replay_scripts(files, speed=100)) as simulator:
        ((target, scenario),) = replay_targets(files, simulator.origin)
        assert (target.label, scenario.max_tokens) == ("deepinfra/moonshotai/Kimi-K2.5", 9)
        assert [(message.role, message.content) for message in scenario.messages] == [("user", "Weather?")]
        answer = await http.post(f"{target.base_url}/v1/inference/{target.model}", json={})
    assert (answer.content, answer.headers["content-type"]) == (body, "text/event-stream")


async def test_geminis_array_is_replayed_byte_for_byte_and_names_its_model(
    tmp_path: Path, http: httpx.AsyncClient
) -> None:
    file = tmp_path / "gemini.body"
    chunks = ({"parts": [{"text": "2"}]}, {"parts": [{"text": "2"}]})
    said = [{"candidates": [{"content": one, "finishReason": "STOP"}], "modelVersion": "gemini-9"} for one in chunks]
    file.write_text(json.dumps(said, indent=1))
    files = {str(file): load(file)}
    async with Simulator(load_profile("smooth"), replays=replay_scripts(files, speed=100)) as simulator:
        ((target, _),) = replay_targets(files, simulator.origin)
        assert (target.dialect, target.model) == ("gemini", "gemini-9")
        answer = await http.post(f"{target.base_url}/models/gemini-9:streamGenerateContent", json={})
    assert answer.content == file.read_bytes()
    (_, *sends, _) = replay_scripts(files)["/replay/0-gemini/0"]
    assert len(sends) == 3
