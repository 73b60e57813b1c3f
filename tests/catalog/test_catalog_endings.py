"""The name of an ending depends on the bytes alone, so that decode, a run and a replay agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmon.catalog.endings import ending_name
from kmon.catalog.habits import habits, sends_end_event
from kmon.catalog.load import load_catalog
from kmon.catalog.resolve import custom_target
from kmon.catalog.toml_source import parse_toml
from kmon.dialects.assemble import Transcript
from kmon.dialects.chat import Chat
from kmon.dialects.delta import StreamError
from kmon.dialects.dialect import FinishWords

TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"%s"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def name(body: bytes, *, end_event: bool = True) -> str | None:
    decoder, transcript = Chat().decoder(), Transcript()
    for delta in decoder.feed(body) + decoder.end():
        transcript.add(delta)
    return ending_name(transcript, transcript.error, FinishWords(), end_event=end_event)


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
    assert name(TEXT + STOP % b"stop", end_event=False) is None
    assert name(TEXT, end_event=False) == "truncated-no-finish"
    assert name(TEXT + DONE, end_event=False) == "done-without-finish"


def test_an_error_has_the_name_of_its_kind_and_status() -> None:
    refused = StreamError("http", "slow down", 429)
    assert ending_name(Transcript(), refused, FinishWords()) == "rate-limited"


def test_habits_are_those_of_a_host_and_without_a_url_of_its_models() -> None:
    assert not sends_end_event("https://api.perplexity.ai/chat/completions", "anything")
    assert sends_end_event("https://api.together.ai/v1", "sonar-pro")
    assert not sends_end_event("", "sonar-pro")
    assert sends_end_event("", "gpt-oss-120b") and sends_end_event("http://[", "")
    assert all(known.models or not known.end_event for known in habits().values())


def test_a_target_has_the_habit_of_its_host() -> None:
    assert not custom_target("https://api.perplexity.ai/v1", "sonar").end_event
    assert custom_target("https://api.together.ai/v1", "sonar").end_event
    assert all(target.end_event for target in load_catalog().targets.values())
    own = '[targets.mine]\nbase_url = "https://llm.example/v1"\nmodel = "m"\nend_event = false\n'
    assert not load_catalog((parse_toml(Path("kmon.toml"), own),)).targets["mine"].end_event
