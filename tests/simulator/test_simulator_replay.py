"""Recorded streams are served again: the same bytes, in events, in their recorded time, each with its own target."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from kmon.errors import UsageError
from kmon.recording import Interaction, Request
from kmon.simulator.embedded import Embedded
from kmon.simulator.replay import (
    EVENTS_PER_S,
    recorded_script,
    replay_scripts,
    replay_targets,
)
from kmon.simulator.replay_scenario import provider_of
from kmon.simulator.script import SendChunk, Whole, duration_s, offsets

EVENTS = [b'data: {"choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % n for n in range(4)]
STREAM = b"".join(EVENTS) + b": bye\r\n\r\ndata: [DONE]\n\n"
ASKED = {
    "model": "moonshotai/kimi-k2-instruct-0905",
    "stream": True,
    "max_tokens": 77,
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Weather in Florence?"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c:0", "type": "function", "function": {"name": "weather", "arguments": '{"at":"F"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c:0", "content": "22"},
    ],
    "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
}


def recorded(
    body: bytes = STREAM,
    *,
    index: int = 0,
    status: int | None = 200,
    content_type: str = "text/event-stream",
    dialect: str = "chat",
    streaming: bool = True,
    duration_ms: float | None = None,
    arrivals_ms: tuple[float, ...] = (),
) -> Interaction:
    request = Request("POST", "https://api.groq.com/openai/v1/chat/completions", {}, json.dumps(ASKED).encode())
    headers = {"content-type": content_type, "x-secret": "no"}
    return Interaction(index, request, status, headers, body, dialect, streaming, duration_ms, arrivals_ms)


def test_the_recorded_duration_is_spread_over_the_events_and_compressed_by_speed() -> None:
    script = recorded_script(recorded(duration_ms=1_200))
    sends = [at_s for at_s, step in zip(offsets(script), script, strict=True) if isinstance(step, SendChunk)]
    assert sends == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.2])
    files = {"a.yaml": [recorded(duration_ms=1_200)]}
    assert duration_s(replay_scripts(files, speed=3)["/replay/0-a/0"]) == pytest.approx(0.4)
    assert duration_s(replay_scripts(files, speed=3, as_recorded=True)["/replay/0-a/0"]) == pytest.approx(1.2)


def test_recorded_arrivals_count_more_than_an_even_spread() -> None:
    script = recorded_script(recorded(duration_ms=99, arrivals_ms=(0.0, 10.0, 5_010.0, 5_020.0, 5_030.0, 5_040.0)))
    assert [s.after_s for s in script if isinstance(s, SendChunk)] == pytest.approx([0.0, 0.01, 5.0, 0.01, 0.01, 0.01])


def test_without_any_time_the_first_event_comes_at_once() -> None:
    gaps = [step.after_s for step in recorded_script(recorded()) if isinstance(step, SendChunk)]
    assert gaps == pytest.approx([0.0] + [1 / EVENTS_PER_S] * 5)


def test_an_error_is_answered_as_it_was() -> None:
    (whole,) = recorded_script(recorded(b'{"error":{}}', status=429, content_type="application/json"))
    assert whole == Whole(429, (("content-type", "application/json"),), b'{"error":{}}')


def test_every_recorded_stream_becomes_a_target_and_its_scenario() -> None:
    files = {"dir/tool streaming.yaml": [recorded(), recorded(index=1, streaming=False), recorded(index=2)]}
    pairs = replay_targets(files, "http://127.0.0.1:9")
    assert [target.name for target, _ in pairs] == ["tool-streaming#0", "tool-streaming#2"]
    assert {scenario.name for _, scenario in pairs} == {"recorded"}
    target, scenario = pairs[1]
    assert target.label == "groq/moonshotai/kimi-k2-instruct-0905"
    assert target.base_url == "http://127.0.0.1:9/replay/0-tool-streaming/2/v1"
    assert target.simulated
    assert target.key_env == ()
    assert [message.role for message in scenario.messages] == ["system", "user", "assistant", "tool"]
    assert scenario.messages[1].content == "Weather in Florence?"
    assert scenario.messages[2].tool_calls[0].arguments == {"at": "F"}
    assert [tool.name for tool in scenario.tools] == ["weather"]
    assert scenario.max_tokens == 77


def test_a_stream_without_its_request_can_still_be_raced() -> None:
    body = b'data: {"model":"kimi"}\n\n'
    lost = Interaction(0, Request(), 200, {}, body, "chat", True)
    ((target, scenario),) = replay_targets({"x.sse": [lost]}, "http://127.0.0.1:9")
    assert (target.provider, target.model) == ("recorded", "kimi")
    assert len(scenario.messages) == 1


@pytest.mark.parametrize(
    ("interactions", "message"),
    [
        ([recorded(streaming=False)], "x.yaml holds no recorded stream"),
        (
            [recorded(dialect="cohere")],
            "x.yaml speaks cohere; only chat, converse, messages, .*deepinfra.* streams",
        ),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_a_sentence(interactions: list[Interaction], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replay_targets({"x.yaml": interactions}, "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://api.groq.com/openai/v1/chat/completions", "groq"),
        ("https://integrate.api.nvidia.com/v1/chat/completions", "nvidia"),
        ("https://openrouter.ai/api/v1/chat/completions", "openrouter"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com/model/x/converse-stream", "bedrock"),
        ("http://127.0.0.1:8000/v1", "local"),
        ("http://[::1/", "recorded"),
        ("", "recorded"),
    ],
)
def test_the_provider_is_named_by_the_domain(url: str, provider: str) -> None:
    assert provider_of(url) == provider


CASSETTE = """\
version: 2
interactions:
- id: 0
  request:
    body: '{"model":"kimi","stream":true,"messages":[{"role":"user","content":"hi"}]}'
    url: https://api.groq.com/openai/v1/chat/completions
    method: POST
  response:
    body: |+
      data: {"choices":[{"index":0,"delta":{"content":"héllo"}}]}

      data: [DONE]

    headers:
      Content-Type:
      - text/event-stream
    status: 200 OK
    code: 200
    duration: 300ms
"""


async def test_the_embedded_simulator_serves_a_cassette_byte_for_byte(tmp_path: Path) -> None:
    file = tmp_path / "cassette.yaml"
    file.write_text(CASSETTE)
    async with Embedded(replay=[file], speed=10) as simulator, httpx.AsyncClient(timeout=20) as client:
        url = f"{simulator.origin}/replay/0-cassette/0/v1/chat/completions"
        answer = await client.post(url, json={"anything": "goes"})
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.text == 'data: {"choices":[{"index":0,"delta":{"content":"héllo"}}]}\n\ndata: [DONE]\n\n'
        missing = await client.post(f"{simulator.origin}/replay/1-cassette/0/v1/chat/completions")
        assert missing.status_code == 404
        row = (await client.get(f"{simulator.origin}/_kmon/ledger")).json()["requests"][0]
        assert (row["fault"], row["chunks"], row["ended"]) == ("as-recorded", 2, "clean")


def test_tools_that_a_lost_request_must_have_offered_are_offered() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "weather", "arguments": "{}"}}
    body = b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}).encode() + b"\n\n"
    lost = Interaction(0, Request(), 200, {"content-type": "text/event-stream"}, body, "chat", True)
    ((_, scenario),) = replay_targets({"lost.body": [lost]}, "http://127.0.0.1:1")
    assert [tool.name for tool in scenario.tools] == ["weather"]
    known = recorded(body)
    ((_, scenario),) = replay_targets({"known.yaml": [known]}, "http://127.0.0.1:1")
    assert [tool.name for tool in scenario.tools] == ["weather"]
    assert scenario.tools[0].parameters == {"type": "object"}
