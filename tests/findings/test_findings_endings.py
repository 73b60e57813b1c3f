"""The name of an ending depends on the bytes alone, so that decode, a run and a replay agree."""

from __future__ import annotations

import pytest

from kmon.findings.recorded import decode
from kmon.recording import Interaction, Request

TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"%s"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def name(body: bytes, *, url: str = "", ends_kept: bool = True) -> str | None:
    headers = {"content-type": "text/event-stream"}
    recorded = Interaction(0, Request(url=url), 200, headers, body, "chat", True, ends_kept=ends_kept)
    return decode("f", recorded).signature


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (TEXT + STOP % b"stop" + DONE, None),
        (TEXT + STOP % b"stop" + DONE + DONE, None),
        (TEXT + STOP % b"eos_token" + DONE, None),
        (TEXT + STOP % b"length" + DONE, None),
        (TEXT + STOP % b"error" + DONE, "finish-with-failure"),
        (TEXT + STOP % b"network_error" + DONE, "finish-with-failure"),
        (TEXT + STOP % b"CONTENT_FILTER" + DONE, "finish-with-failure"),
        (TEXT + STOP % b"insufficient_system_resource", "finish-with-failure"),
        (TEXT + STOP % b"function_call_filter: MALFORMED_FUNCTION_CALL" + DONE, "finish-with-failure"),
        (TEXT + STOP % b"PROHIBITED_CONTENT" + DONE, "finish-with-failure"),
        (TEXT + STOP % b"ERROR_TOXIC" + DONE, "finish-with-failure"),
        (TEXT + STOP % b"SPII" + DONE, "finish-with-failure"),
        (TEXT + STOP % b"cancelled" + DONE, "finish-with-failure"),
        (TEXT + STOP % b"model_context_window_exceeded" + DONE, None),
        (TEXT + STOP % b"unknown" + DONE, None),
        (TEXT + STOP % b"COMPLETE" + DONE, None),
        (TEXT + STOP % b"null", "truncated-no-finish"),
        (TEXT + STOP % b"FINISH_REASON_UNSPECIFIED", "truncated-no-finish"),
        (TEXT + STOP % b"stop", "finish-without-done"),
        (TEXT + DONE, "done-without-finish"),
        (TEXT, "truncated-no-finish"),
        (b"", "truncated-no-finish"),
        (TEXT + b'data: {"cho', "truncated-no-finish"),
        (TEXT + b"dat", "truncated-no-finish"),
        (TEXT + b'data: {"cho\n\n', "malformed-frame"),
        (TEXT + b'data: {"cho\n\n' + STOP % b"stop" + DONE, "malformed-frame"),
        (TEXT + b'data: {"error":"no"}\n\n', "error-in-stream"),
        (b'data: {"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}\n\n' + DONE, "not-a-stream"),
    ],
)
def test_endings_have_their_names(body: bytes, signature: str | None) -> None:
    assert name(body) == signature


def test_no_end_event_is_no_fault_where_it_is_usual() -> None:
    url = "https://api.perplexity.ai/chat/completions"
    assert name(TEXT + STOP % b"stop", url=url) is None
    assert name(TEXT, url=url) == "truncated-no-finish"
    assert name(TEXT + DONE, url=url) == "done-without-finish"


def test_no_finish_reason_is_no_fault_where_it_is_usual() -> None:
    url = "https://account.snowflakecomputing.com/api/v2/cortex/v1/chat/completions"
    assert name(TEXT + DONE, url=url) is None
    assert name(TEXT, url=url) == "truncated-no-finish"
    assert name(TEXT + STOP % b"stop", url=url) == "finish-without-done"


def test_a_list_of_chunks_lacks_neither_end() -> None:
    assert name(TEXT + STOP % b"stop", ends_kept=False) is name(TEXT + DONE, ends_kept=False) is None
    assert name(TEXT, ends_kept=False) == "truncated-no-finish"
