"""``kmon decode`` reads Bedrock bodies, Messages recordings and DeepInfra's own stream like any other."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from kmon.findings.recorded import decode
from kmon.output.decode import decoded_block, json_line
from kmon.recording import load
from kmon.recording.decode import Decoded, decodable
from tests.support.fake_bedrock import START, answer, exception, text

MESSAGES = (
    'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":9}}}\n\n'
    'event: ping\ndata: {"type":"ping"}\n\n'
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    '"delta":{"type":"thinking_delta","thinking":"hm"}}\n\n'
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":1,'
    '"delta":{"type":"text_delta","text":"22"}}\n\n'
    'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    '"usage":{"output_tokens":4}}\n\n'
    'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
DEEPINFRA = (
    'data: {"token":{"text":"22","special":false},"generated_text":null,"details":null}\n\n'
    'data: {"token":{"text":"","special":true},"generated_text":"22","details":{"finish_reason":"stop"},'
    '"num_input_tokens":9,"num_output_tokens":1}\n\n'
)


def only(path: Path) -> Decoded:
    (interaction,) = load(path)
    assert decodable(interaction)
    return decode(str(path), interaction)


def body(tmp_path: Path, data: bytes) -> Decoded:
    path = tmp_path / "x.body"
    path.write_bytes(data)
    return only(path)


def cassette(tmp_path: Path, url: str, data: bytes, kind: str) -> Decoded:
    path = tmp_path / "x.yaml"
    packed = base64.b64encode(data).decode()
    path.write_text(
        "interactions:\n"
        f"- request: {{method: POST, uri: '{url}', headers: {{}}, body: ''}}\n"
        f"  response:\n    body: {{string: !!binary {packed}}}\n"
        f"    headers: {{content-type: [{kind}]}}\n    status: {{code: 200, message: OK}}\n"
    )
    return only(path)


def test_a_converse_stream_as_raw_body_and_in_a_cassette(tmp_path: Path) -> None:
    url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse-stream"
    stream = answer("It is ", "22")
    for got in (body(tmp_path, stream), cassette(tmp_path, url, stream, "application/vnd.amazon.eventstream")):
        assert (got.dialect, got.text, got.finish_reason, got.done) == ("converse", "It is 22", "end_turn", True)
        assert got.usage is not None and got.usage.total_tokens == 13
        assert (got.error, got.signature) == (None, None)


def test_bad_bedrock_bodies_have_the_names_the_live_ones_have(tmp_path: Path) -> None:
    refused = body(tmp_path, START + exception("throttlingException", "slow down"))
    assert refused.error is not None and refused.error.code == "throttlingException"
    assert refused.signature == "error-in-stream"
    damaged = bytearray(START + text("22"))
    damaged[-1] ^= 1
    assert body(tmp_path, bytes(damaged)).signature == "corrupt-frame"
    assert body(tmp_path, START).signature == "truncated-no-finish"


def test_a_messages_stream(tmp_path: Path) -> None:
    got = cassette(tmp_path, "https://api.moonshot.ai/anthropic/v1/messages", MESSAGES.encode(), "text/event-stream")
    assert body(tmp_path, MESSAGES.encode()).text == got.text
    assert (got.dialect, got.text, got.reasoning, got.finish_reason) == ("messages", "22", "hm", "end_turn")
    assert (got.done, got.chunks, got.signature) == (True, 6, None)
    assert got.usage is not None and (got.usage.prompt_tokens, got.usage.completion_tokens) == (9, 4)


def test_a_messages_stream_that_breaks_off_is_truncated(tmp_path: Path) -> None:
    broken = MESSAGES[: MESSAGES.index("event: message_delta")].encode()
    assert body(tmp_path, broken).signature == "truncated-no-finish"
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    assert body(tmp_path, broken + error).signature == "error-in-stream"


def test_a_refused_messages_request_is_told(tmp_path: Path) -> None:
    said = {"type": "error", "error": {"type": "rate_limit_error", "message": "engine is currently overloaded"}}
    path = tmp_path / "x.json"
    response = {"code": 429, "body": json.dumps(said), "headers": {"Content-Type": ["application/json"]}}
    request = {"url": "https://api.kimi.com/coding/v1/messages", "method": "POST", "body": '{"stream": true}'}
    path.write_text(json.dumps({"interactions": [{"request": request, "response": response}]}))
    got = only(path)
    assert (got.dialect, got.status, got.signature) == ("messages", 429, "rate-limited")
    assert got.error is not None and got.error.message == "engine is currently overloaded"


def test_deepinfras_own_stream(tmp_path: Path) -> None:
    got = body(tmp_path, DEEPINFRA.encode())
    assert (got.dialect, got.text, got.finish_reason, got.done) == ("deepinfra", "22", "stop", True)
    url = "https://api.deepinfra.com/v1/inference/moonshotai/Kimi-K2.6"
    silent = cassette(tmp_path, url, b": hi\n\n", "text/event-stream")
    assert (silent.dialect, silent.signature) == ("deepinfra", "truncated-no-finish")


RESPONSES = (
    'event: response.output_item.done\ndata: {"type":"response.output_item.done","output_index":0,'
    '"item":{"type":"web_search_call","id":"ws_1"}}\n\n'
    'event: response.refusal.delta\ndata: {"type":"response.refusal.delta","output_index":1,"delta":"I cannot."}\n\n'
    'event: response.completed\ndata: {"type":"response.completed","response":{"status":"completed","output":[],'
    '"usage":{"input_tokens":9,"output_tokens":4,"total_tokens":13}}}\n\n'
)


def test_a_responses_stream_with_a_refusal_and_a_tool_of_the_server(tmp_path: Path) -> None:
    got = body(tmp_path, RESPONSES.encode())
    assert (got.dialect, got.text, got.finish_reason, got.done) == ("responses", "", "completed", True)
    said = json.loads(json_line(got))
    assert (said["refusal"], said["server_tools"]) == ("I cannot.", [{"type": "web_search_call"}])
    shown = decoded_block(got, load(tmp_path / "x.body")[0])
    assert "refusal\n    I cannot." in shown
    assert "server tool\n    web_search_call" in shown
    plain = json.loads(json_line(body(tmp_path, RESPONSES[RESPONSES.index("event: response.completed") :].encode())))
    assert not {"refusal", "server_tools"} & plain.keys()


def test_geminis_events_and_its_array_are_read_alike_and_told_with_tools_and_media(tmp_path: Path) -> None:
    parts = [
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
        {"text": "22"},
    ]
    value = {
        "candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}],
        "usageMetadata": {"totalTokenCount": 9},
    }
    written = json.dumps(value, indent=2).encode()
    url = "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent"
    for got in (
        body(tmp_path, b"[" + written + b"\n]"),
        body(tmp_path, b"data: " + json.dumps(value).encode() + b"\r\n\r\n"),
        cassette(tmp_path, url, b"[" + written + b"]", "application/json; charset=UTF-8"),
    ):
        assert (got.dialect, got.text, got.finish_reason, got.done) == ("gemini", "22", "STOP", True)
        assert ([tool.type for tool in got.server_tools], got.media) == (["executableCode"], ("image/png",))
        assert (got.tool_calls, got.error, got.signature) == ((), None, None)


def test_geminis_refusal_in_an_array_is_told_in_its_words(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    refused = json.dumps([{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}])
    path.write_text(
        "interactions:\n"
        "- request: {method: POST, uri: 'https://g.example/v1beta/models/m:streamGenerateContent', body: ''}\n"
        f"  response: {{body: '{refused}', status: 400, headers: {{content-type: application/json}}}}\n"
    )
    got = only(path)
    assert got.error is not None
    assert (got.dialect, got.error.message, got.error.code) == ("gemini", "API key not valid.", "INVALID_ARGUMENT")
