"""``kmon decode`` prints one object per recorded stream, by contract, and is safe on a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kmon.cli import main

KEYS = [
    "file", "interaction", "dialect", "status", "text", "reasoning", "tool_calls", "finish_reason", "usage", "done",
    "chunks", "error", "signature",
]  # fmt: skip

GOOD = (
    ": ping\n\n"
    'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    'data: {"choices":[{"index":0,"delta":{"reasoning":"hm"}}]}\n\n'
    'data: {"choices":[{"index":0,"delta":{"tool_calls":'
    '[{"index":0,"id":"c","function":{"name":"w","arguments":"{}"}}]}}]}\n\n'
    'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'
    'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n'
    "data: [DONE]\n\n"
)


def decoded(capsys: pytest.CaptureFixture[str], *files: Path) -> list[dict[str, Any]]:
    assert main(["decode", "--json", *map(str, files)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def written(tmp_path: Path, content: str, name: str = "x.body") -> Path:
    path = tmp_path / name
    path.write_text(content, newline="", errors="surrogatepass")
    return path


def test_a_good_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, GOOD)
    (got,) = decoded(capsys, path)
    assert list(got) == KEYS
    assert got == {
        "file": str(path),
        "interaction": 0,
        "dialect": "chat",
        "status": 200,
        "text": "hi",
        "reasoning": "hm",
        "tool_calls": [{"id": "c", "name": "w", "arguments": "{}"}],
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        "done": True,
        "chunks": 5,
        "error": None,
        "signature": None,
    }


@pytest.mark.parametrize(
    ("body", "signature", "kind"),
    [
        (GOOD, None, None),
        (GOOD.replace("data: [DONE]\n\n", ""), "finish-without-done", None),
        ('data: {"choices":[{"delta":{"content":"cut"}}]}\n\n', "truncated-no-finish", None),
        (GOOD.replace('{"role"', "{"), "malformed-frame", "malformed-frame"),
        (GOOD + 'data: {"error":{"message":"late"}}\n\n', "error-in-stream", "in-stream"),
        ('{"error":{"message":"Forbidden"}}', "http-error", "http"),
        ("<html>sign in</html>", "not-a-stream", "not-a-stream"),
    ],
)
def test_the_signature_names_what_broke(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str, signature: str | None, kind: str | None
) -> None:
    (got,) = decoded(capsys, written(tmp_path, body))
    assert (got["signature"], got["error"] and got["error"]["kind"]) == (signature, kind)


def test_an_error_in_the_stream_and_what_followed_are_both_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (got,) = decoded(capsys, written(tmp_path, 'data: {"error":{"message":"bad","code":502}}\n\n' + GOOD))
    assert got["error"]["message"] == "bad"
    assert got["error"]["status"] == 502
    assert (got["text"], got["usage"]["total_tokens"]) == ("hi", 3)


def test_an_http_error_to_a_streaming_request_is_printed_and_plain_requests_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "https://x/v1/chat/completions"
    entries = [
        {"request": {"url": "https://x/v1/models"}, "response": {"code": 200, "body": "{}"}},
        {"request": {"url": url, "body": "{}"}, "response": {"code": 200, "body": '{"choices":[]}'}},
        {
            "request": {"url": url, "body": '{"stream":true}'},
            "response": {"code": 429, "body": '{"error":{"message":"slow down","code":429}}'},
        },
        {
            "request": {"url": "https://bedrock/model/m/converse-stream"},
            "response": {
                "code": 400,
                "headers": {"x-amzn-ErrorType": ["ValidationException:http://x"]},
                "body": '{"message":"bad image"}',
            },
        },
    ]
    chat, bedrock = decoded(capsys, written(tmp_path, json.dumps({"interactions": entries}), "c.json"))
    assert (chat["interaction"], chat["status"], chat["signature"]) == (2, 429, "rate-limited")
    assert chat["error"]["message"] == "slow down"
    assert (bedrock["dialect"], bedrock["error"]["code"]) == ("converse", "ValidationException")
    assert bedrock["error"]["message"] == "bad image"


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("cohere", {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hi"}}}}),
        ("ai-sdk-ui", {"type": "text-delta", "id": "0", "delta": "Hi"}),
        ("dashscope", {"output": {"choices": [{"message": {"content": "Hi"}}]}, "request_id": "r"}),
        ("workers-ai", {"response": "Hi", "p": "abcd"}),
        ("llama-cpp", {"content": "Hi", "stop": False, "id_slot": 0}),
        ("mcp", {"jsonrpc": "2.0", "id": 1, "result": {}}),
    ],
)
def test_a_stream_in_a_dialect_kmon_does_not_read_is_said_not_guessed(
    name: str, event: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, f"data: {json.dumps(event)}\n\n")
    assert main(["decode", "--json", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert f"interaction 0 speaks {name}, which decode does not read; skipped" in err


def test_an_unreadable_file_is_said_and_the_others_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = written(tmp_path, GOOD)
    assert main(["decode", "--json", str(tmp_path / "nothing"), str(good)]) == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert err.startswith("kmon: cannot read ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("as_json", [True, False])
def test_no_control_character_of_a_recording_reaches_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    hostile = "\x1b[2J\x9b1m\u202eevil\x07\r\x00\ud800"
    chunk = {
        "choices": [{"index": 0, "delta": {"content": hostile, "reasoning": hostile}, "finish_reason": hostile}],
        "error": {"message": hostile, "code": hostile},
    }
    path = written(tmp_path, f"data: {json.dumps(chunk)}\n\n", "bad\x1b.body")
    assert main(["decode", *["--json"] * as_json, str(path), str(tmp_path / "no\x1b")]) == 2
    out, err = capsys.readouterr()
    assert "evil" in out
    assert not set(out + err) & set("\x1b\x9b\u202e\x07\r\x00\ud800")
    assert out.isascii() or not as_json


def test_people_get_a_block_per_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", str(written(tmp_path, GOOD))]) == 0
    out = capsys.readouterr().out
    for said in ("chat", "finish stop", "done yes", "5 chunks", "tokens 1/2/3", "    hm", "    hi", "w({})"):
        assert said in out
