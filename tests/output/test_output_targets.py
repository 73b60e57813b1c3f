"""Promises of ``kmon targets``: who is there, where the key was found, what the provider says, and never the key."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from kmon import __version__
from kmon.catalog.environment import Environment
from kmon.catalog.trust import Trust
from kmon.cli import main
from kmon.config.sources import load_settings
from kmon.doctor.model_list import ModelListCheck
from kmon.doctor.targets_check import check_targets
from kmon.model import Target
from kmon.output.targets import list_checks, list_targets
from tests.support.loopback import Script, serving

KEY = "sk-s3cr3t-0123456789"
ENV = Environment({}, {"TEST_KEY": KEY})


def target(base_url: str, model: str = "kimi-k2.6", key_env: tuple[str, ...] = ("TEST_KEY",)) -> Target:
    return Target(name="t", provider="t", model=model, base_url=base_url, key_env=key_env)


def answering(body: bytes, status: str = "200 OK", kind: str = "application/json") -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return script


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()  # returns when the client gives up


async def asked(script: Script, *, limit_s: float = 10.0, model: str = "kimi-k2.6") -> ModelListCheck:
    async with serving(script) as url:
        (result,) = await check_targets([target(url, model)], ENV, Trust(), named=True, limit_s=limit_s)
    shown = list_checks([target(url)], [result], ENV, as_json=False)
    assert KEY not in shown
    assert KEY not in list_checks([target(url)], [result], ENV, as_json=True)
    assert shown.isprintable()
    return result


def models(*ids: str) -> bytes:
    return json.dumps({"object": "list", "data": [{"id": name} for name in ids]}).encode()


async def test_a_model_in_the_list_is_confirmed() -> None:
    result = await asked(answering(models("a", "kimi-k2.6")))
    assert (result.state, result.models, result.listed) == ("ok", 2, True)
    assert result.sentence == "2 models, kimi-k2.6 among them"


async def test_a_bare_list_is_a_list_too() -> None:
    result = await asked(answering(b'[{"id": "kimi-k2.6"}, 3, {"id": null}]'))
    assert (result.state, result.models, result.listed) == ("ok", 1, True)


async def test_a_list_is_asked_for_in_the_targets_own_dialect_with_its_own_header() -> None:
    heads: list[bytes] = []
    body = json.dumps({"models": [{"name": "models/gemini-9"}, {"name": "models/other"}]}).encode()
    async with serving(answering(body), requests=heads) as url:
        aimed = replace(target(f"{url}/v1beta", "gemini-9"), dialect="gemini", auth="x-goog-api-key")
        (result,) = await check_targets([aimed], ENV, Trust(), named=True)
    assert (result.state, result.sentence) == ("ok", "2 models, gemini-9 among them")
    assert heads[0].startswith(b"GET /v1beta/models?pageSize=1000 HTTP/1.1\r\n")
    assert f"x-goog-api-key: {KEY}\r\n".encode() in heads[0].lower()


async def test_a_model_that_is_not_listed_gets_the_nearest_as_a_hint() -> None:
    result = await asked(answering(models("other", "kimi-k2.7")))
    assert (result.state, result.listed) == ("ok", False)
    assert result.sentence == "2 models, but kimi-k2.6 is not listed; close to kimi-k2.7"


async def test_hostile_model_names_are_shown_harmlessly() -> None:
    result = await asked(answering(models(f"kimi-k2.6\x1b[2J\u202e{KEY}")), model=f"kimi-k2.6{'x' * 12}")
    assert result.listed is False


async def test_a_refused_key_is_named_in_words_and_not_repeated() -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key: {KEY}\x1b[31m\nsee docs"}}).encode()
    result = await asked(answering(body, "401 Unauthorized"))
    assert (result.state, result.status) == ("failed", 401)
    assert result.sentence == "the key was refused: HTTP 401: Incorrect API key: [key][31m see docs"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("403 Forbidden", "the key may not do this: HTTP 403: no"),
        ("404 Not Found", "there is no list of models here: HTTP 404: no"),
        ("429 Too Many Requests", "not now: HTTP 429: no"),
        ("302 Found", "the list of models was not given: HTTP 302: no"),
        ("524 Odd", "the list of models was not given: HTTP 524: no"),
    ],
)
async def test_every_other_status_fails_in_words(status: str, words: str) -> None:
    result = await asked(answering(b"no", status, "text/plain"))
    assert (result.state, result.sentence) == ("failed", words)


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"", b"3", b'{"data": {}}', b"\xff\xfe", pytest.param(b"[" * 100_000, id="deep")],
)
async def test_an_answer_that_is_no_list_is_said_to_be_none(body: bytes) -> None:
    result = await asked(answering(body))
    assert result.state == "failed"
    assert result.sentence.endswith("answered something that is no list of models")


async def test_a_server_that_never_answers_is_given_up() -> None:
    result = await asked(hanging, limit_s=0.2)
    assert result.state == "failed"
    assert result.sentence.endswith("within 0.2 s")


async def test_a_server_that_speaks_no_http_fails_in_words() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x01 what\r\n\r\n")

    result = await asked(garbage)
    assert result.state == "failed"
    assert "not valid HTTP" in result.sentence


async def test_the_request_is_honest_and_carries_the_key_to_its_host_only() -> None:
    heads: list[bytes] = []

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]")
        writer.close()

    server = await asyncio.start_server(record, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        await check_targets([target(url)], ENV, Trust(), named=True)
    (head,) = [head.decode().lower() for head in heads]
    assert head.startswith("get /v1/models http/1.1\r\n")
    assert f"user-agent: kmon/{__version__}\r\n" in head
    assert "accept-encoding: identity\r\n" in head
    assert f"authorization: bearer {KEY}\r\n" in head


async def test_nobody_listening_fails_if_it_was_named_and_is_skipped_if_not() -> None:
    async with serving(hanging) as url:
        pass
    local = [target(url, key_env=())]
    (named,) = await check_targets(local, ENV, Trust(), named=True)
    (listed,) = await check_targets(local, ENV, Trust(), named=False)
    assert (named.state, listed.state) == ("failed", "skipped")
    assert "connection refused" in named.sentence


async def test_a_target_without_its_key_is_not_asked() -> None:
    keyless = [target("http://127.0.0.1:9/v1", key_env=("UNSET_KEY",))]
    (named,) = await check_targets(keyless, ENV, Trust(), named=True)
    (listed,) = await check_targets(keyless, ENV, Trust(), named=False)
    assert (named.state, listed.state) == ("failed", "skipped")
    assert named.sentence.startswith("UNSET_KEY is not set")


async def test_a_key_that_cannot_be_sent_fails_without_being_repeated() -> None:
    broken = Environment({}, {"TEST_KEY": f"{KEY}\r\nX: é"})
    (result,) = await check_targets([target("http://127.0.0.1:9/v1")], broken, Trust(), named=False)
    assert result.state == "failed"
    assert KEY not in result.sentence


async def test_targets_are_asked_at_the_same_time() -> None:
    both = asyncio.Barrier(2)

    async def together(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await both.wait()
        await answering(models("kimi-k2.6"))(reader, writer)

    async with serving(together) as url:
        results = await check_targets([target(url), target(url)], ENV, Trust(), named=True)
    assert [result.state for result in results] == ["ok", "ok"]


def listed(project: Path, *, as_json: bool = False, env: dict[str, str]) -> str:
    loaded = load_settings({}, env, project, project / "user")
    return list_targets(list(loaded.catalog.targets.values()), loaded.env, loaded.trust, as_json=as_json)


def test_the_table_says_where_each_key_was_found(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"TOGETHER_API_KEY={KEY}\n")
    out = listed(tmp_path, env={"GROQ_API_KEY": KEY})
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["together"].endswith("TOGETHER_API_KEY (.env)")
    assert lines["groq"].endswith("GROQ_API_KEY (environment)")
    assert lines["openai"].endswith("OPENAI_API_KEY not set")
    assert lines["ollama"].endswith("no key needed")
    assert KEY not in out


def test_json_is_one_object_per_target(tmp_path: Path) -> None:
    out = listed(tmp_path, as_json=True, env={"NVIDIA_API_KEY": KEY})
    rows = {row["name"]: row for row in map(json.loads, out.splitlines())}
    assert rows["nvidia"]["key_source"] == "NVIDIA_API_KEY in environment"
    assert (rows["together"]["ready"], rows["ollama"]["ready"]) == (False, True)
    assert KEY not in out


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own that kmon is started in, with no keys and no settings of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in [
        name for name in os.environ if name.endswith(("_KEY", "_TOKEN")) or name.startswith(("KMON_", "AWS_"))
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def test_a_named_target_shows_its_quirks(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "kimi-coding"]) == 0
    assert "gated by User-Agent" in capsys.readouterr().out


def test_an_unknown_name_is_wrong_usage(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "nope"]) == 2
    assert "there is no target 'nope'" in capsys.readouterr().err


def test_a_failed_check_is_exit_code_one(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (alone / "kmon.toml").write_text('[targets.ollama]\nbase_url = "http://127.0.0.1:1/v1"\n')
    assert main(["targets", "--check", "--json", "ollama"]) == 1
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert row["check"]["state"] == "failed"
    assert main(["targets", "--check", "together"]) == 1
    assert "TOGETHER_API_KEY is not set" in capsys.readouterr().out


def test_the_listing_never_shows_a_key() -> None:
    for as_json in (False, True):
        assert KEY not in list_targets([target("http://127.0.0.1:9")], ENV, Trust(), as_json=as_json)
