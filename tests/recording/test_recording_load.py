"""Recordings of every kind become the same interactions; what cannot be read is refused in one sentence."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kmon.errors import UsageError
from kmon.recording import Interaction, load
from kmon.recording import load as load_recording
from kmon.recording.load import FILE_LIMIT_BYTES

SSE = 'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n'

GO_VCR = """---
version: 2
interactions:
- id: 0
  request:
    body: '{"model":"kimi","messages":[{"role":"user","content":"hi"}],"stream":true}'
    headers:
      Authorization: [Bearer sk-secret]
      Content-Type: [application/json]
    url: https://api.groq.com/openai/v1/chat/completions
    method: POST
  response:
    body: |+
      data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}

      data: [DONE]

    headers:
      Content-Type: [text/event-stream]
    status: 200 OK
    code: 200
    duration: 1m2.5s
- id: 1
  request: {body: '', headers: {}, url: 'https://api.groq.com/openai/v1/models', method: GET}
  response: {body: '{}', headers: {Content-Type: [application/json]}, status: 200 OK, code: 200, duration: 276.457041ms}
"""

VCRPY = """interactions:
- request:
    body: null
    headers:
      ? !!python/object/apply:multidict._multidict.istr
      - Accept
      : - '*/*'
      X-Date: [!!binary MjAyNg==, 2026-01-02]
    method: POST
    parsed_body: {model: kimi, stream: true}
    uri: https://x/v1/chat/completions#stream
  response:
    body: {string: !!python/unicode "data: {\\"choices\\":[]}\\n\\n"}
    headers: {content-type: [text/event-stream; charset=utf-8]}
    status: {code: 200, message: OK}
- request: {body: '{"stream": true}', headers: {}, method: POST, uri: 'https://x/v1/chat/completions'}
  response:
    headers: {content-type: [application/json]}
    parsed_body: {error: {message: slow down}}
    status: {code: 429, message: Too Many Requests}
version: 1
"""


def recorded(tmp_path: Path, content: str | bytes, name: str = "cassette.yaml") -> list[Interaction]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(path)


def test_a_go_vcr_cassette(tmp_path: Path) -> None:
    first, second = recorded(tmp_path, GO_VCR)
    assert (first.request.method, first.request.model, first.request.wants_stream) == ("POST", "kimi", True)
    assert first.request.members["messages"] == [{"role": "user", "content": "hi"}]
    assert (first.status, first.content_type, first.dialect, first.streaming) == (
        200,
        "text/event-stream",
        "chat",
        True,
    )
    assert first.body == SSE.encode()
    assert first.duration_ms == 62_500.0
    assert (second.index, second.streaming, second.duration_ms) == (1, False, pytest.approx(276.457041))


def test_credentials_in_a_cassette_are_not_loaded(tmp_path: Path) -> None:
    assert recorded(tmp_path, GO_VCR)[0].request.headers == {"content-type": "application/json"}


def test_a_go_vcr_cassette_of_version_1(tmp_path: Path) -> None:
    old = (
        GO_VCR.replace("version: 2", "version: 1")
        .replace("- id: 0\n  request", "- request")
        .replace("- id: 1\n", "-\n")
    )
    assert [i.status for i in recorded(tmp_path, old)] == [200, 200]


def test_a_vcrpy_cassette_with_python_tags_and_parsed_bodies(tmp_path: Path) -> None:
    stream, refused = recorded(tmp_path, VCRPY)
    assert stream.request.headers == {"accept": "*/*", "x-date": "2026, 2026-01-02"}
    assert (stream.request.model, stream.request.wants_stream) == ("kimi", True)
    assert (stream.body, stream.status, stream.duration_ms) == (b'data: {"choices":[]}\n\n', 200, None)
    assert (refused.status, refused.streaming, json.loads(refused.body)) == (
        429,
        True,
        {"error": {"message": "slow down"}},
    )


@pytest.mark.parametrize("declared", ["content-encoding: [gzip]", "x: [y]"])
def test_binary_and_compressed_bodies_are_undone(tmp_path: Path, declared: str) -> None:
    packed = base64.b64encode(gzip.compress(SSE.encode())).decode()
    cassette = f"""interactions:
- request: {{method: POST, uri: 'https://x/v1/chat/completions', headers: {{}}, body: ''}}
  response:
    body: {{string: !!binary {packed}}}
    headers: {{content-type: [text/event-stream], {declared}}}
    status: {{code: 200, message: OK}}
"""
    assert recorded(tmp_path, cassette)[0].body == SSE.encode()


def test_a_body_that_only_claims_to_be_compressed_stays(tmp_path: Path) -> None:
    claimed = GO_VCR.replace("Content-Type: [text/event-stream]", "Content-Encoding: [deflate]")
    assert recorded(tmp_path, claimed)[0].body == SSE.encode()


def test_a_vcrpy_cassette_in_json(tmp_path: Path) -> None:
    entry = {
        "request": {"method": "POST", "uri": "https://x/v1/chat/completions", "headers": {}, "body": "{}"},
        "response": {"body": {"string": SSE}, "headers": {}, "status": {"code": 200}},
    }
    (only,) = recorded(tmp_path, json.dumps({"version": 1, "interactions": [entry]}), "c.json")
    assert (only.body, only.streaming) == (SSE.encode(), True)


def test_httpmock_and_req_llm_recordings(tmp_path: Path) -> None:
    mock = f"""when: {{method: POST, path: /v1/chat/completions, body: '{{"stream":true}}'}}
then:
  status: 200
  header: [{{name: content-type, value: text/event-stream}}]
  body: {json.dumps(SSE)}
---
when: {{method: POST, path: /v1/chat/completions, body: '{{"stream":true}}'}}
then: {{status: 403, body: nope}}
"""
    assert [(i.status, i.streaming) for i in recorded(tmp_path, mock)] == [(200, True), (403, True)]
    fixture = {
        "chunks": [{"b64": base64.b64encode(part.encode()).decode()} for part in (SSE[:9], SSE[9:])],
        "request": {"url": "https://x/v1/chat/completions", "method": "POST", "body": {"b64": "e30="}},
        "response": {"status": 200, "headers": {"content-type": "text/event-stream"}, "body": None},
    }
    assert recorded(tmp_path, json.dumps(fixture, indent=1), "f.json")[0].body == SSE.encode()


@pytest.mark.parametrize(
    "start", ["data: ", ": comment\n\ndata: ", "\ufeffdata: ", "event: x\ndata: ", "\r\n\r\ndata: "]
)
def test_a_raw_sse_body_by_whatever_name(tmp_path: Path, start: str) -> None:
    (only,) = recorded(tmp_path, start + '{"choices":[]}\n\n', "noname")
    assert (only.status, only.dialect, only.streaming) == (200, "chat", True)


def test_bare_chunks_one_per_line(tmp_path: Path) -> None:
    chunk = '{"choices":[{"index":0,"delta":{"content":"x"}}]}'
    (only,) = recorded(tmp_path, f"{chunk}\n{chunk}\n", "chunks.txt")
    assert only.body.count(b"data: {") == 2


def test_a_raw_body_that_is_no_stream_is_an_answer_of_unknown_status(tmp_path: Path) -> None:
    for name, body in (("a.json", '{"error":{"message":"no"}}'), ("a.body", "upstream connect error")):
        (only,) = recorded(tmp_path, body, name)
        assert (only.status, only.streaming, only.body) == (None, True, body.encode())


@pytest.mark.parametrize(
    ("said", "dialect"),
    [
        ('event: message_start\ndata: {"type":"message_start"}\n\n', "messages"),
        ('data: {"type":"response.created"}\n\n', "responses"),
        ('data: {"candidates":[]}\n\n', "gemini"),
        ('data: {"token":{"text":"a"},"generated_text":null,"details":null}\n\n', "deepinfra"),
        ('data: {"error":{"message":"x"}}\n\n', "chat"),
    ],
)
def test_the_dialect_is_told_by_what_is_said(tmp_path: Path, said: str, dialect: str) -> None:
    assert recorded(tmp_path, said)[0].dialect == dialect


def test_the_model_may_stand_percent_encoded_in_the_path(tmp_path: Path) -> None:
    url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.amazon.nova-lite-v1%3A0/converse-stream"
    cassette = {"interactions": [{"request": {"url": url, "method": "POST"}, "response": {"code": 400, "body": "{}"}}]}
    (only,) = recorded(tmp_path, json.dumps(cassette), "b.json")
    assert (only.request.model, only.dialect, only.streaming) == ("us.amazon.nova-lite-v1:0", "converse", True)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n \n",
        "hello",
        "a: [1, 2",
        "interactions: []",
        "interactions: [{request: {}}]",
        "? [a]\n: b",
        "- just\n- a list",
        "interactions: [{response: {code: 1, body: {b64: abcde}}}]",
        "\t\tx",
        "x: \x00",
        "[" * 5000,
        "{" * 5000,
        "!!python/object/apply:os.system [echo pwned]",
    ],
)
def test_what_is_no_recording_is_refused_in_one_sentence(tmp_path: Path, content: str) -> None:
    with pytest.raises(UsageError) as refused:
        recorded(tmp_path, content)
    sentence = str(refused.value)
    assert "cassette.yaml" in sentence
    assert "go-vcr" in sentence
    assert "\n" not in sentence


def test_missing_files_directories_and_giants_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path / "nothing")
    with pytest.raises(UsageError, match="cannot read"):
        load(tmp_path)
    giant = tmp_path / "giant"
    with giant.open("wb") as file:
        file.truncate(FILE_LIMIT_BYTES + 1)
    with pytest.raises(UsageError, match="larger than 64 MiB"):
        load(giant)


def test_a_body_that_expands_without_end_is_refused(tmp_path: Path) -> None:
    bomb = base64.b64encode(gzip.compress(b"\0" * (FILE_LIMIT_BYTES + 1))).decode()
    cassette = f"interactions: [{{request: {{}}, response: {{code: 200, body: {{string: !!binary {bomb}}}}}}}]"
    (only,) = recorded(tmp_path, cassette)
    assert (only.body[:2], only.streaming) == (b"\x1f\x8b", True)
    assert only.problem == "its body cannot be read: what is compressed expands to more than 64 MiB"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=100), st.text(max_size=60).map(lambda t: f"interactions:\n- {t}".encode())))
def test_any_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any"
    path.write_bytes(content)
    try:
        assert load_recording(path)
    except UsageError as refused:
        assert str(path) in str(refused)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param('{"a":' * 100_000, "it is JSON that is empty, cut or damaged, or nested too deeply", id="json"),
        pytest.param("interactions:\n- " + "{a: " * 60_000, "nested more than 100 levels deep on line 2", id="flow"),
        pytest.param("interactions:\n" + "- " * 5_000 + "x", "nested more than 100 levels deep on line 2", id="block"),
    ],
)
def test_bottomless_nesting_is_refused_in_a_sentence(content: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=sentence) as refused:
        recorded(tmp_path, content)
    assert "\n" not in str(refused.value)
