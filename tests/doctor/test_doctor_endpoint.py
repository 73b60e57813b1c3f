"""Promises of ``kmon doctor`` about an endpoint: it names the step that is broken, and costs nothing."""

from __future__ import annotations

import asyncio
import re
import socket
import time

import pytest

from kmon.catalog.trust import Trust
from kmon.doctor.conclusion import diagnose
from kmon.doctor.endpoint import EndpointRequest
from kmon.errors import UsageError
from kmon.output.doctor import target_lines
from kmon.stream.sanitize import Sanitizer
from tests.support.endpoints import (
    ENV,
    KEY,
    answering,
    authority_and_context,
    concluded,
    examined,
    free_port,
    guarded,
    models,
    server_side,
    target,
    wrong,
)  # fmt: skip
from tests.support.loopback import serving


async def test_a_sound_endpoint_is_called_sound_with_five_tries_of_every_step() -> None:
    async with guarded() as (url, heads):
        found = await examined(target(url))
    assert found.ok
    assert concluded(found) == "the network and the key are fine; a stall is then the local server's"
    assert len(found.examined.lookups) == len(found.examined.exchanges) == 5
    assert [len(reach.touches) for reach in found.examined.reaches] == [5]
    assert (found.examined.check.models, found.examined.check.listed) == (1, True)
    assert sum(KEY in head for head in heads) == 5
    table = "\n".join(target_lines(found))
    assert "200 OK" in table and "TEST_KEY in .env: accepted; 1 model, kimi-k2.6 among them" in table


async def test_a_list_that_anybody_may_read_does_not_prove_the_key() -> None:
    async with serving(answering(models("kimi-k2.6"))) as url:
        found = await examined(target(url))
    assert found.ok and found.examined.key_proven is False
    assert "a key was found but not proven" in concluded(found)


async def test_a_local_server_without_a_key_needs_none() -> None:
    async with serving(answering(models("kimi-k2.6"))) as url:
        found = await examined(target(url, key_env=()))
    assert found.ok
    assert concluded(found) == "the network is fine, and no key is needed; a stall is then the local server's"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("401 Unauthorized", "the key was refused: HTTP 401: "),
        ("403 Forbidden", "the key may not do this: HTTP 403: "),
        ("404 Not Found", "there is no list of models here: HTTP 404: "),
    ],
)
async def test_a_refusal_is_the_keys_fault_and_not_the_networks(status: str, words: str) -> None:
    async with serving(answering(f'{{"error": "no {KEY}\\u001b[2J"}}'.encode(), status)) as url:
        found = await examined(target(url))
    assert not found.ok
    assert concluded(found).startswith(f"the network is fine; {words}no [key]")


async def test_a_missing_key_is_said_after_the_network_was_measured_without_it() -> None:
    async with guarded() as (url, heads):
        found = await examined(target(url, key_env=("UNSET_KEY",)))
    assert concluded(found).startswith("the network is fine; UNSET_KEY is not set")
    assert heads and not any("uthorization" in head for head in heads)


async def test_a_model_that_is_not_listed_is_a_note() -> None:
    async with serving(answering(models("other"))) as url:
        found = await examined(target(url))
    assert found.ok
    assert any("kimi-k2.6 is not in the list" in finding.sentence for finding in found.findings)


async def test_a_name_that_does_not_resolve_is_named() -> None:
    found = await examined(target("http://name.invalid/v1"))
    assert wrong(found.findings)[0].startswith("name.invalid: the host name does not resolve")
    assert found.examined.exchanges == ()


async def test_a_refused_port_is_wrong_if_named_and_a_server_that_is_down_if_not() -> None:
    aim = target(f"http://127.0.0.1:{free_port()}/v1")
    found = await examined(aim)
    assert "takes a connection: connection refused" in concluded(found)
    (unnamed,) = await diagnose([aim], ENV, Trust(), 10.0, named=False)
    assert unnamed.ok and concluded(unnamed).endswith("that server is not running")


@pytest.mark.parametrize(
    ("scheme", "step", "words"),
    [
        ("http", "http", "the request was taken, but no answer came within 0.2 s"),
        ("https", "tls", "the connection was accepted, but no TLS handshake came within 0.2 s"),
    ],
)
async def test_a_port_that_accepts_and_says_nothing_is_named_by_the_step(scheme: str, step: str, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=32) as mute:  # the kernel accepts, no program does
        found = await examined(target(f"{scheme}://127.0.0.1:{mute.getsockname()[1]}/v1"), limit_s=0.2)
    assert [each.failed_at for each in found.examined.exchanges] == [step, step]
    assert wrong(found.findings) == [words]


async def test_a_server_that_speaks_no_http_is_named() -> None:
    async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-nope\r\n\r\n")

    async with serving(garbage) as url:
        found = await examined(target(url))
    assert "not valid HTTP" in concluded(found)


async def test_a_clock_that_is_wrong_is_told_with_its_uncertainty() -> None:
    async with serving(answering(models("kimi-k2.6"), date_s=time.time() - 3600)) as url:
        found = await examined(target(url))
    told = re.search(r"this machine's clock is (\d+)\.\d s ahead", concluded(found))
    assert told is not None and 3590 < int(told[1]) < 3660  # the date is made before the server is up
    assert "ahead of the server's (± 0." in concluded(found)
    assert "AWS refuses" in concluded(found)


async def test_bedrock_is_reached_but_asked_for_nothing_and_shown_no_key() -> None:
    requests: list[bytes] = []
    async with serving(answering(b"{}", "403 Forbidden"), requests=requests) as url:
        found = await examined(target(url, dialect="converse", auth="aws"))
    assert found.ok, found.findings
    assert {request.split(b"\r\n")[0] for request in requests} == {b"GET / HTTP/1.1"}
    assert not any(b"uthorization" in request or KEY.encode() in request for request in requests)
    assert found.examined.exchanges[0].reading is not None
    table = "\n".join(target_lines(found))
    assert "TEST_KEY in .env" in table and "403 Forbidden, asked without the key" in table


async def test_a_proxy_is_what_is_connected_to_and_its_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[bytes] = []
    monkeypatch.delenv("no_proxy", raising=False)
    async with serving(answering(models("kimi-k2.6")), requests=requests) as url:
        monkeypatch.setenv("http_proxy", url.replace("http://", "http://user:hunter2@"))
        found = await examined(target("http://provider.invalid/v1", key_env=()))
        monkeypatch.delenv("http_proxy")
    assert found.ok, found.findings
    assert requests[0].startswith(b"GET http://provider.invalid/v1/models ")
    assert (found.examined.host, found.examined.proxy) == ("127.0.0.1", url)
    assert "hunter2" not in "\n".join(target_lines(found))


async def test_a_proxy_variable_that_is_no_url_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", "http://user:hunter2@host:port")
    with pytest.raises(UsageError, match="is no URL") as caught:
        await examined(target("http://provider.invalid/v1"))
    assert "hunter2" not in str(caught.value)


async def test_targets_are_examined_at_the_same_time() -> None:
    both = asyncio.Barrier(2)

    async def together(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await both.wait()
        await answering(models("kimi-k2.6"))(reader, writer)

    async with serving(together) as url:
        aim = target(url, key_env=())
        found = await diagnose([aim, aim], ENV, Trust(), 10.0, named=True)
    assert [each.ok for each in found] == [True, True]


async def test_a_trusted_certificate_is_told_with_issuer_and_days() -> None:
    authority, trusting = authority_and_context()
    async with serving(answering(models("kimi-k2.6")), server_side(authority, days=60.5)) as url:
        found = await examined(target(url), trusting)
    assert found.ok, found.findings
    (line,) = [line for line in target_lines(found) if line.startswith("  tls ")]
    assert "TLSv1.3, issued by Test Authority" in line and line.endswith("expires in 60 days, trusted")


async def test_a_certificate_that_ends_soon_is_wrong_before_it_breaks() -> None:
    authority, trusting = authority_and_context()
    async with serving(answering(models("kimi-k2.6")), server_side(authority, days=3.5)) as url:
        found = await examined(target(url), trusting)
    assert concluded(found) == "the certificate expires in 3 days"


@pytest.mark.parametrize(
    ("trusted", "host", "days", "words"),
    [
        (True, "localhost", -2.5, "the certificate is not trusted: certificate has expired"),
        (False, "localhost", 300, "the certificate is not trusted: unable to get local issuer certificate"),
        (True, "other.example", 300, "certificate is not valid for 'localhost'"),
    ],
    ids=["expired", "untrusted", "wrong host"],
)
async def test_a_bad_certificate_is_told_with_its_reason_and_issuer_and_gets_no_key(
    trusted: bool, host: str, days: float, words: str
) -> None:
    authority, trusting = authority_and_context()
    if not trusted:
        _, trusting = authority_and_context()
    requests: list[bytes] = []
    async with serving(answering(models("kimi-k2.6")), server_side(authority, host, days=days), requests) as url:
        found = await examined(target(url), trusting)
    assert requests == []
    (said,) = wrong(found.findings)
    assert words in said and "issued by Test Authority" in said
    assert {each.failed_at for each in found.examined.exchanges} == {"tls"}
    table = "\n".join(target_lines(found))
    assert ("expired 2 days ago" in table) is (days < 0)


def test_a_question_never_shows_what_it_is_asked_with() -> None:
    request = EndpointRequest(
        url="http://h", headers={"Authorization": KEY}, proxy=f"http://u:{KEY}@p", safe=Sanitizer("", 1)
    )
    assert KEY not in repr(request)
