"""Promises about AWS credentials: what Keys hold is what signs, the environment is not needed, and nothing is shown."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from kmon.catalog.aws import BEARER
from kmon.engine.process import EngineProcess
from kmon.stream import events as ev
from tests.support.fake_bedrock import HEAD, KEYS, LAST_CHUNK, answer, in_chunks, plan, played, target, text
from tests.support.loopback import Script
from tests.support.racing import Watched, keys_of, outcome
from tests.support.scripted_provider import Asked, provider, writing

TOKEN = "bedrock-api-key-YmVkcm9jay5hbWF6b25hd3M"
GOOD = writing(HEAD, in_chunks(answer("22")), LAST_CHUNK)


async def asked_with(keys: dict[str, str], play: Script = GOOD, **members: object) -> Asked:
    result, _, fake = await played(play, keys, **members)
    assert result.state == "done"
    (asked,) = fake.asked
    return asked


async def test_a_key_pair_signs_for_bedrock_in_the_targets_region() -> None:
    asked = await asked_with(KEYS)
    authorization = asked.headers["authorization"]
    assert authorization.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-west-3/bedrock/aws4_request" in authorization
    assert "x-amz-date" in asked.headers and "x-amz-security-token" not in asked.headers


async def test_a_session_token_goes_along() -> None:
    asked = await asked_with(KEYS | {"AWS_SESSION_TOKEN": "session-token"})
    assert asked.headers["x-amz-security-token"] == "session-token"


async def test_a_bearer_token_wins_over_keys_and_is_not_taken_from_the_environment() -> None:
    assert BEARER not in os.environ
    asked = await asked_with(KEYS | {BEARER: TOKEN})
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"


async def test_a_variable_the_user_named_holds_a_bearer_token() -> None:
    asked = await asked_with({"MY_TOKEN": TOKEN}, key_env=("MY_TOKEN",))
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"


async def test_a_profile_of_the_users_files_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("[work]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = from-the-file\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    asked = await asked_with({"AWS_PROFILE": "work"})
    assert "Credential=AKIDPROFILE/" in asked.headers["authorization"]


async def test_an_unknown_profile_is_said_and_nothing_is_sent() -> None:
    result, _, fake = await played(GOOD, {"AWS_PROFILE": "nope"})
    assert (result.state, result.signature) == ("failed", "no-credentials")
    assert result.error is not None and "nope" in result.error.message
    assert fake.asked == []


@pytest.mark.parametrize(
    ("members", "keys", "region"),
    [
        ({"region": "eu-west-3"}, {"AWS_REGION": "us-west-2"}, "eu-west-3"),
        ({"region": None, "regions": ("us-east-1",)}, {"AWS_REGION": "us-west-2"}, "us-west-2"),
        ({"region": None}, {"AWS_DEFAULT_REGION": "ap-south-1"}, "ap-south-1"),
        ({"region": None, "regions": ("sa-east-1", "us-east-1")}, {}, "sa-east-1"),
    ],
)
async def test_the_region_is_the_targets_own_then_the_environments_then_where_the_model_is(
    members: dict[str, Any], keys: dict[str, str], region: str
) -> None:
    asked = await asked_with(KEYS | keys, **members)
    assert f"/{region}/bedrock/" in asked.headers["authorization"]


async def test_without_credentials_a_service_on_this_machine_is_asked_with_invented_ones() -> None:
    asked = await asked_with({})
    assert "Credential=kmon/" in asked.headers["authorization"]


async def test_secrets_that_are_echoed_back_appear_nowhere() -> None:
    keys = KEYS | {"AWS_SESSION_TOKEN": "session-token-0123456789"}
    echo = text(" ".join(keys.values()))
    _, events, _ = await played(writing(HEAD, in_chunks(echo + answer("22")), LAST_CHUNK), keys)
    shown = repr(events)
    assert not [value for value in keys.values() if value in shown]
    assert not [value for value in keys.values() if value in repr(keys_of(plan(target("http://127.0.0.1:1")), keys))]


async def test_the_engine_process_gets_its_keys_by_pipe_alone() -> None:
    async with provider(GOOD) as fake:
        engine = await EngineProcess.start(plan(target(fake.url)), keys_of(plan(target(fake.url)), KEYS))
        watched = Watched(engine)
        try:
            await watched.until(lambda event: isinstance(event, ev.RaceEnded))
            environ = Path(f"/proc/{engine.pid}/environ")
            told = environ.read_bytes() + Path(f"/proc/{engine.pid}/cmdline").read_bytes() if environ.exists() else b""
        finally:
            await watched.finish()
    assert KEYS["AWS_SECRET_ACCESS_KEY"].encode() not in told
    assert "Credential=AKIDEXAMPLE/" in fake.asked[0].headers["authorization"]
    result = next(event for event in watched.events if isinstance(event, ev.RunEnded))
    assert (result.state, result.text) == ("done", "22")


async def test_many_attempts_at_once_keep_apart() -> None:
    async with provider(GOOD) as fake:
        race = plan(target(fake.url))
        results, _ = await outcome(msgspec.structs.replace(race, rows=race.rows * 6), KEYS)
    assert [result.text for result in results] == ["22"] * 6
    invocations = {asked.headers["amz-sdk-invocation-id"] for asked in fake.asked}
    assert len(invocations) == len(fake.asked) == 6
    assert all(json.dumps(asked.body) == json.dumps(fake.asked[0].body) for asked in fake.asked)


def signature_by_the_book(asked: Asked, secret: str) -> str:
    """What AWS computes from a request as it arrived (Signature Version 4, written out from its description)."""
    authorization = asked.headers["authorization"]
    scope = re.search(r"Credential=[^/]+/([^,]+)", authorization)
    names = re.search(r"SignedHeaders=([^,]+)", authorization)
    assert scope is not None and names is not None
    signed = names[1].split(";")
    canonical = "\n".join([
        "POST",
        quote(asked.target),  # AWS encodes the path it received once more
        "",
        *(f"{name}:{asked.headers[name]}" for name in signed),
        "",
        names[1],
        hashlib.sha256(asked.raw_body).hexdigest(),
    ])  # fmt: skip
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope[1].split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text_to_sign = "\n".join(["AWS4-HMAC-SHA256", asked.headers["x-amz-date"], scope[1], digest])
    return hmac.new(key, text_to_sign.encode(), "sha256").hexdigest()


@pytest.mark.parametrize("model", ["moonshotai.kimi-k2.5", "amazon.nova-pro-v1:0"])
async def test_what_arrives_is_what_was_signed(model: str) -> None:
    asked = await asked_with(KEYS, model=model)
    wanted = signature_by_the_book(asked, KEYS["AWS_SECRET_ACCESS_KEY"])
    assert asked.headers["authorization"].endswith(f"Signature={wanted}")
    assert "host" in asked.headers["authorization"]
