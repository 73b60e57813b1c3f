"""Every fault of the simulated Bedrock reaches AWS's own client as the real one would."""

from __future__ import annotations

import aiohttp
import httpx
import pytest
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, EventStreamError, ReadTimeoutError

from kmon.dialects.eventstream import BadFrame, EventStreamDecoder
from kmon.format import listed
from kmon.simulator.dialects.registry import names_with
from kmon.simulator.faults.registry import FAULTS
from kmon.simulator.server import Simulator
from tests.support.aws import aio_stream, names, text, user, with_boto3
from tests.support.talk import Body, answered, ended

CUT = ":after_tokens=20"
SHORT_S = 1.0


@pytest.fixture
def url(sim: Simulator) -> str:
    return f"{sim.origin}/bedrock"


async def events(url: str, fault: str) -> list[Body]:
    async with aio_stream(url, fault) as stream:
        return [event async for event in stream]


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (f"exception-frame{CUT}", "throttlingException", "Too many requests"),
        (f"exception-frame{CUT},exception=modelStreamErrorException", "modelStreamErrorException", "unexpected"),
        (f"exception-frame{CUT},exception=modelTimeoutException", "", ""),  # not in the stream's model
        (f"error-in-200{CUT}", "InternalServerException", "upstream overloaded"),
        ("error-first", "ValidationException", "Failed to call"),
    ],
)
async def test_errors_in_the_stream_are_raised_after_what_came_before(
    fault: str, code: str, said: str, url: str
) -> None:
    got: list[Body] = []
    with pytest.raises(EventStreamError) as raised:
        async with aio_stream(url, fault) as stream:
            async for event in stream:
                got.append(event)
    error = raised.value.response["Error"]
    assert error.get("Code", "") == code
    assert said in error.get("Message", "")
    assert len(got) == (21 if CUT in fault else 0)


async def test_crc_error_is_a_checksum_mismatch(url: str) -> None:
    with pytest.raises(ChecksumMismatch):
        await events(url, f"crc-error{CUT}")


@pytest.mark.parametrize("fault", [f"half-frame{CUT}", f"truncated-no-finish{CUT}"])
async def test_an_early_clean_end_is_no_error_at_all_to_the_client(fault: str, url: str) -> None:
    got = await events(url, fault)
    assert len(got) == 21
    assert names(got) == ["messageStart", "contentBlockDelta"]


async def test_an_end_may_come_right_after_the_start_of_the_message(url: str) -> None:
    assert names(await events(url, "truncated-no-finish:after_tokens=0")) == ["messageStart"]


async def test_half_a_frame_is_what_is_left(url: str, http: httpx.AsyncClient) -> None:
    answer = await http.post(
        f"{url}/model/x/converse-stream", json={"messages": [user("Hi there")]}, headers={"x-kmon-fault": "half-frame"}
    )
    decoder = EventStreamDecoder()
    decoder.feed(answer.content)
    assert [type(left) for left in decoder.end()] == [BadFrame]


async def test_finish_without_done_lacks_only_the_metadata(url: str) -> None:
    assert names(await events(url, "finish-without-done"))[-1] == "messageStop"


@pytest.mark.parametrize("fault", [f"hang-mid-stream{CUT}", "headers-then-nothing", "linger-after-done"])
async def test_silence_is_a_socket_timeout_and_no_second_request(
    fault: str, sim: Simulator, url: str, http: httpx.AsyncClient
) -> None:
    got: list[Body] = []
    with pytest.raises(aiohttp.SocketTimeoutError):
        async with aio_stream(url, fault, read_timeout_s=SHORT_S) as stream:
            async for event in stream:
                got.append(event)
    assert names(got)[-1:] == {"headers-then-nothing": [], "linger-after-done": ["metadata"]}.get(
        fault, ["contentBlockDelta"]
    )
    assert (await ended(sim, http))["ended"] == "client"
    assert sim.request_log.requests == 1


async def test_no_headers_is_a_read_timeout(url: str) -> None:
    with pytest.raises(ReadTimeoutError):
        async with aio_stream(url, "no-headers", read_timeout_s=SHORT_S):
            pass


async def test_a_reset_mid_chunk_is_a_payload_error(url: str) -> None:
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
        await events(url, f"reset-mid-chunk{CUT}")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("rate-limited", 429, "ThrottlingException"), ("http-500", 500, "InternalServerException")],
)
async def test_http_errors_carry_their_type_and_a_request_id(fault: str, status: int, code: str, url: str) -> None:
    with pytest.raises(ClientError) as refused:
        await events(url, fault)
    assert refused.value.response["Error"]["Code"] == code
    metadata = refused.value.response["ResponseMetadata"]
    assert (metadata["HTTPStatusCode"], metadata["RetryAttempts"]) == (status, 0)
    assert metadata["RequestId"]


@pytest.mark.parametrize("fault", ["stall:duration_s=2..4", "slow-bursts", "slow-first-token"])
async def test_a_late_answer_is_still_the_whole_answer(fault: str, url: str) -> None:
    late, smooth = await events(url, fault), await events(url, "smooth")
    assert text(late) == text(smooth)
    assert late[-1]["metadata"]["metrics"]["latencyMs"] > smooth[-1]["metadata"]["metrics"]["latencyMs"]


async def test_empty_and_only_reasoning_answers_end_as_if_nothing_were_wrong(url: str) -> None:
    assert names(await events(url, "empty-answer")) == ["messageStart", "messageStop", "metadata"]
    thought = await events(url, "only-reasoning:reasoning_tokens=5")
    assert text(thought) == ""
    assert thought[-2] == {"messageStop": {"stopReason": "max_tokens"}}


@pytest.mark.parametrize("fault", ["keepalives-only", "malformed-frame", "json-200"])
async def test_what_bedrock_cannot_do_wrong_is_refused_with_who_can(fault: str, url: str) -> None:
    able = listed(names_with(FAULTS[fault].needs))
    assert "chat" in able and "converse" not in able
    with pytest.raises(ClientError, match=f"converse cannot have the fault {fault}; {able} can"):
        await events(url, fault)


@pytest.mark.parametrize("fault", ["exception-frame", "crc-error", "half-frame"])
async def test_faults_of_frames_are_refused_to_other_dialects(fault: str, sim: Simulator, body: Body) -> None:
    answer = await answered(sim, body, fault)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert f"chat cannot have the fault {fault}; converse can".encode() in answer


async def test_the_model_id_may_name_the_fault(url: str) -> None:
    with pytest.raises(ClientError, match="Rate limit"):
        await with_boto3(url, lambda client: client.converse_stream(modelId="sim/rate-limited", messages=[user("Hi")]))
