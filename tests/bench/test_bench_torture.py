"""What the bench says of ordinary clients is what they did."""

from __future__ import annotations

import shutil

import pytest

from kmon.simulator.bench_report import ClientLine, lines_of
from kmon.simulator.embedded import Embedded
from tests.bench.torture import ledger, verdicts

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("measures")]


def account(simulator: Embedded, fault: str) -> ClientLine:
    (found,) = (line for line in lines_of(ledger(simulator)) if line.fault == fault)
    return found


@pytest.mark.references
def test_openai_python_tries_a_server_error_three_times_and_takes_a_cut_answer_for_whole(
    provider_process: Embedded,
) -> None:
    base_url = provider_process.base_url("x")
    error, cut_off = verdicts("openai", [(base_url, "http-500"), (base_url, "truncated-no-finish")], timeout_s=9)
    failed = account(provider_process, "http-500")
    cut = account(provider_process, "truncated-no-finish")
    assert error == "InternalServerError after 0 deltas" and cut_off == "no error, 60 deltas, finish None"
    assert failed.client.startswith("AsyncOpenAI/")
    assert (failed.asked, failed.retries, failed.did) == (3, 2, {"took-all": 3})
    assert (cut.asked, cut.retries, cut.did) == (1, 0, {"took-all": 1})


def test_aiohttp_gives_up_in_a_silence_but_not_while_keep_alives_come(provider_process: Embedded) -> None:
    base_url = provider_process.base_url("x")
    asked = [(base_url, "hang-mid-stream"), (base_url, "keepalives-only:every_s=5")]
    timed_out, fooled = verdicts("aiohttp", asked, timeout_s=1, give_up_s=3)
    hung, kept = account(provider_process, "hang-mid-stream"), account(provider_process, "keepalives-only")
    assert timed_out.startswith("SocketTimeoutError") and fooled.startswith("HANGS")
    assert (hung.asked, hung.retries, hung.did) == (1, 0, {"gave-up": 1})
    assert kept.did == {"closed": 1}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_says_that_it_was_reset(provider_process: Embedded) -> None:
    (said,) = verdicts("curl", [(provider_process.base_url("x"), "reset-mid-chunk")])
    assert said.startswith("exit 56,")
    assert account(provider_process, "reset-mid-chunk").did == {"was-reset": 1}


def test_a_client_that_never_reads_is_told_as_one(provider_process: Embedded) -> None:
    verdicts("reads-nothing", [(provider_process.base_url("x"), "padded-stream")], timeout_s=2.5)
    found = account(provider_process, "padded-stream")
    assert (found.client, found.did) == ("reads-nothing/1", {"does-not-read": 1})
    assert found.most_blocked_ms >= 1_000
