"""Files of HTTP recorders: each gives the exchange with its request, its status and its body."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from kmon.errors import UsageError
from tests.support.recorded_stream import EVENTS, QUESTION, SSE, URL, decoded, is_asked, is_the_stream, recorded

PACKED = base64.b64encode(SSE.encode()).decode()
GZIPPED = gzip.compress(SSE.encode())
RUBY_REQUEST = f"""- request:
    method: post
    uri: {URL}
    body: {{encoding: UTF-8, string: '{QUESTION}'}}
    headers: {{Content-Type: [application/json], Authorization: [Bearer sk-secret]}}
"""
UNDICI = {
    "hash": "h",
    "snapshot": {
        "request": {"method": "POST", "url": URL, "headers": {}, "body": QUESTION},
        "responses": [{"statusCode": 200, "headers": {"content-type": "text/event-stream"}, "body": PACKED}],
    },
}


def nock(**members: object) -> dict[str, Any]:
    asked = {"scope": "https://api.example.com:443", "method": "POST", "path": "/v1/chat/completions"}
    return {**asked, "body": json.loads(QUESTION), "status": 200, **members}


RECORDERS: dict[str, str] = {
    "ruby-vcr": "---\nhttp_interactions:\n"
    + RUBY_REQUEST
    + "  response:\n    status: {code: 200, message: OK}\n    headers: {Content-Type: [text/event-stream]}\n"
    + f"    body: {{encoding: UTF-8, string: {json.dumps(SSE)}}}\n  recorded_at: Fri, 02 Jan 2026 03:04:05 GMT\n",
    "ruby-vcr-binary": "---\nhttp_interactions:\n"
    + RUBY_REQUEST
    + "  response:\n    status: {code: 200, message: OK}\n    headers: {Content-Type: [text/event-stream]}\n"
    + f"    body:\n      encoding: ASCII-8BIT\n      string: !binary |-\n        {PACKED}\n",
    "vcrpy-content": f"interactions:\n- request: {{body: '{QUESTION}', headers: {{}}, method: POST, uri: '{URL}'}}\n"
    f"  response: {{content: {json.dumps(SSE)}, headers: {{}}, http_version: HTTP/1.1, status_code: 200}}\n",
    "betamax": json.dumps(
        {
            "http_interactions": [
                {
                    "request": {
                        "method": "POST",
                        "uri": URL,
                        "headers": {},
                        "body": {"encoding": "utf-8", "string": QUESTION},
                    },
                    "response": {
                        "status": {"code": 200, "message": "OK"},
                        "headers": {"Content-Type": ["text/event-stream"]},
                        "body": {"encoding": None, "base64_string": PACKED},
                    },
                }
            ],
            "recorded_with": "betamax/0.9",
        }
    ),
    "php-vcr": f"-\n    request:\n        method: POST\n        url: '{URL}'\n        body: '{QUESTION}'\n"
    f"    response:\n        status: {{http_version: '1.1', code: '200'}}\n        body: {json.dumps(SSE)}\n",
    "exvcr": json.dumps(
        [
            {
                "request": {"method": "post", "url": URL, "headers": {}, "body": QUESTION, "options": []},
                "response": {"binary": False, "type": "ok", "status_code": 200, "headers": {}, "body": SSE},
            }
        ]
    ),
    "exvcr-binary": json.dumps(
        [
            {
                "request": {"method": "post", "url": URL, "headers": {}, "request_body": QUESTION},
                "response": {
                    "binary": True,
                    "status_code": 200,
                    "body": base64.b64encode(b"\x83m" + len(SSE.encode()).to_bytes(4) + SSE.encode()).decode(),
                },
            }
        ]
    ),
    "nock": json.dumps([nock(response=SSE, rawHeaders=["Content-Type", "text/event-stream"])]),
    "nock-hexadecimal": json.dumps(
        [nock(response=[GZIPPED[:9].hex(), GZIPPED[9:].hex()], rawHeaders={"content-encoding": "gzip"})]
    ),
    "undici": json.dumps([UNDICI]),
    "wiremock": json.dumps(
        {
            "request": {"url": URL, "method": "POST", "bodyPatterns": [{"equalToJson": QUESTION}]},
            "response": {"status": 200, "base64Body": PACKED, "headers": {"Content-Type": "text/event-stream"}},
        }
    ),
    "wiremock-list": json.dumps(
        {
            "mappings": [
                {
                    "request": {"urlPath": URL, "method": "POST", "bodyPatterns": [{"equalToJson": QUESTION}]},
                    "response": {"body": SSE, "status": 200},
                }
            ]
        }
    ),
    "wiremock-net": json.dumps(
        {
            "Guid": "g",
            "Request": {
                "Path": {"Matchers": [{"Name": "WildcardMatcher", "Pattern": URL}]},
                "Methods": ["POST"],
                "Body": {"Matcher": {"Name": "JsonMatcher", "Pattern": QUESTION}},
            },
            "Response": {"StatusCode": 200, "Body": SSE, "Headers": {}},
        }
    ),
    "hoverfly": json.dumps(
        {
            "data": {
                "pairs": [
                    {
                        "request": {
                            "method": [{"matcher": "exact", "value": "POST"}],
                            "scheme": [{"matcher": "exact", "value": "https"}],
                            "destination": [{"matcher": "exact", "value": "api.example.com"}],
                            "path": [{"matcher": "exact", "value": "/v1/chat/completions"}],
                            "body": [{"matcher": "json", "value": QUESTION}],
                        },
                        "response": {"status": 200, "body": PACKED, "encodedBody": True},
                    }
                ]
            }
        }
    ),
    "test-proxy": json.dumps(
        {
            "Entries": [
                {
                    "RequestUri": URL,
                    "RequestMethod": "POST",
                    "RequestHeaders": {},
                    "RequestBody": json.loads(QUESTION),
                    "StatusCode": 200,
                    "ResponseHeaders": {"Content-Type": "text/event-stream"},
                    "ResponseBody": SSE.splitlines(keepends=True),
                }
            ]
        }
    ),
    "test-proxy-base64": json.dumps(
        {
            "Entries": [
                {
                    "RequestUri": URL,
                    "RequestMethod": "POST",
                    "RequestBody": json.loads(QUESTION),
                    "StatusCode": 200,
                    "ResponseBody": PACKED,
                }
            ],
            "Variables": {},
        }
    ),
    "charles": json.dumps(
        [
            {
                "status": "COMPLETE",
                "method": "POST",
                "protocolVersion": "HTTP/1.1",
                "scheme": "https",
                "host": "api.example.com",
                "path": "/v1/chat/completions",
                "times": {"start": "2026-01-02T03:04:05.000+01:00", "end": "2026-01-02T03:04:07.500+01:00"},
                "request": {"header": {"headers": []}, "body": {"text": QUESTION}},
                "response": {
                    "status": 200,
                    "header": {"headers": [{"name": "Content-Type", "value": "text/event-stream"}]},
                    "body": {"text": SSE, "charset": "utf-8"},
                },
            }
        ]
    ),
}


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in RECORDERS.items()])
def test_the_exchange_of_each_recorder(tmp_path: Path, content: str) -> None:
    (only,) = recorded(tmp_path, content)
    is_the_stream(only)
    request = only.request
    assert request.url.replace(":443", "") == URL
    assert (request.method, request.model, request.wants_stream) == ("POST", "m", True)
    assert "authorization" not in request.headers


def test_charles_says_how_long_an_exchange_took(tmp_path: Path) -> None:
    assert recorded(tmp_path, RECORDERS["charles"])[0].duration_ms == 2500


def test_the_exchanges_of_one_httprr_trace(tmp_path: Path) -> None:
    request = f"POST {URL} HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: {len(QUESTION)}\r\n\r\n{QUESTION}"
    answer = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n{SSE}"
    refused = 'HTTP/1.1 429 Too Many Requests\r\n\r\n{"error":{"message":"slow down"}}'
    lines = [f"{len(request)} {len(said.encode())}\n{request}{said}" for said in (answer, refused)]
    first, second = recorded(tmp_path, "httprr trace v1\n" + "".join(lines))
    is_the_stream(first)
    is_asked(first)
    assert (second.index, second.status, decoded(second).signature) == (1, 429, "rate-limited")
    with pytest.raises(UsageError, match="byte 16 should begin with the lengths"):
        recorded(tmp_path, "httprr trace v1\nnonsense")


def test_a_body_in_a_file_of_its_own_is_named(tmp_path: Path) -> None:
    mapping = {"request": {"url": URL, "method": "POST"}, "response": {"status": 200, "bodyFileName": "a-b.txt"}}
    (only,) = recorded(tmp_path, json.dumps(mapping))
    assert only.problem is not None
    assert "'a-b.txt' below __files; give that file" in only.problem


def test_a_nock_answer_that_is_json_or_only_looks_like_hexadecimal(tmp_path: Path) -> None:
    refused, short = recorded(
        tmp_path, json.dumps([nock(response={"error": {"message": "no"}}, status=400), nock(response="beef")])
    )
    assert json.loads(refused.body) == {"error": {"message": "no"}}
    assert short.body == b"beef"


def test_the_chunks_of_a_req_llm_fixture_may_have_times(tmp_path: Path) -> None:
    parts = ["".join(EVENTS[:2]), "".join(EVENTS[2:])]
    chunks = [
        {"b64": base64.b64encode(part.encode()).decode(), "t_ms": 7000.0 * place} for place, part in enumerate(parts)
    ]
    fixture = {"chunks": chunks, "request": {"url": URL, "method": "POST", "body": {"b64": ""}}, "response": {}}
    (only,) = recorded(tmp_path, json.dumps(fixture))
    assert only.arrivals_ms == (0, 0, 7000, 7000, 7000)
    assert decoded(only).signature == "stall-resumed"
