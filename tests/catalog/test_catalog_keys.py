"""Promises about AWS credentials: what would be used is told with its place, in the SDKs' order, never a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmon.catalog.aws import client_variables, find_key, region_of
from kmon.catalog.credential import Credential
from kmon.catalog.environment import Environment
from kmon.catalog.keys import has_key, key_problem, key_source, keyed_targets
from kmon.catalog.load import load_catalog
from kmon.catalog.resolve import custom_target
from kmon.output.targets import key_status

CATALOG = load_catalog()
KIMI = CATALOG.targets["bedrock/kimi-k2.5"]
PAIR = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}
TOKEN = {"AWS_BEARER_TOKEN_BEDROCK": "t0k3n"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with two profiles."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[default]\naws_access_key_id = A\naws_secret_access_key = B\n")
    (tmp_path / ".aws" / "config").write_text(
        "[default]\nregion = eu-west-1\n[profile work]\nsso_session = corp\nregion = eu-north-1\n"
        "[sso-session corp]\nsso_region = eu-west-1\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("real", "dotenv", "source"),
    [
        (TOKEN, PAIR, "AWS_BEARER_TOKEN_BEDROCK in environment"),
        ({}, PAIR, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in .env"),
        (PAIR, TOKEN, "AWS_BEARER_TOKEN_BEDROCK in .env"),
    ],
)
def test_a_token_wins_over_a_pair(real: dict[str, str], dotenv: dict[str, str], source: str) -> None:
    env = Environment(real, dotenv)
    assert key_source(KIMI, env) == source
    assert has_key(KIMI, env) and key_problem(KIMI, env) is None


def test_half_a_pair_is_no_credential() -> None:
    env = Environment({"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"})
    assert key_problem(KIMI, env) == (
        "AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or an AWS profile is not set "
        "(needed by target bedrock/kimi-k2.5); put it in .env or run 'kmon --demo'"
    )
    assert key_status(KIMI, env) == "no AWS credentials found"


def test_a_profile_is_found_in_the_users_files(home: Path) -> None:
    env = Environment({"HOME": str(home)})
    assert key_source(KIMI, env) == "profile default in ~/.aws/credentials"
    work = Environment({"HOME": str(home)}, {"AWS_PROFILE": "work"})
    assert key_status(KIMI, work) == "profile work (~/.aws/config)"
    assert find_key(Environment({"HOME": str(home), "AWS_PROFILE": "corp"})) is None
    assert find_key(Environment({})) is None


def test_files_that_cannot_be_read_hold_no_profile(home: Path) -> None:
    (home / ".aws" / "config").write_bytes(b"\xff\xfe[default")
    (home / ".aws" / "credentials").write_text("no section = here\n")
    assert find_key(Environment({"HOME": str(home)})) is None


def test_only_what_wins_is_carried_along() -> None:
    env = Environment(TOKEN | PAIR | {"AWS_PROFILE": "work", "AWS_REGION": "us-west-2"})
    assert client_variables(env) == TOKEN | {"AWS_REGION": "us-west-2"}
    assert client_variables(Environment({"AWS_PROFILE": "work"})) == {"AWS_PROFILE": "work"}


def test_a_session_token_goes_only_with_the_pair_it_came_with() -> None:
    session = {"AWS_SESSION_TOKEN": "s3ss10n"}
    assert client_variables(Environment(PAIR | session)) == PAIR | session
    assert client_variables(Environment(PAIR, session)) == PAIR


def test_the_region_is_the_environments_or_the_profiles(home: Path) -> None:
    assert client_variables(Environment(PAIR | {"AWS_DEFAULT_REGION": "ap-south-1"}))["AWS_REGION"] == "ap-south-1"
    assert client_variables(Environment({"HOME": str(home), "AWS_PROFILE": "work"}))["AWS_REGION"] == "eu-north-1"
    assert region_of(KIMI, {}) == "us-east-1"
    assert region_of(KIMI, {"AWS_REGION": "eu-north-1"}) == "eu-north-1"


def test_a_service_on_this_machine_needs_no_credential() -> None:
    local = custom_target("http://127.0.0.1:9", "m", "converse")
    assert key_problem(local, Environment({})) is None
    far = custom_target("https://bedrock.example.com", "m", "converse")
    assert key_problem(far, Environment({})) is not None


def test_keys_of_aws_do_not_send_anyone_to_bedrock_unasked() -> None:
    known = CATALOG.targets.values()
    assert keyed_targets(known, Environment(PAIR)) == ()
    assert [target.name for target in keyed_targets(known, Environment(TOKEN))] == ["bedrock/kimi-k2.5"]


def test_a_credential_never_shows_its_values() -> None:
    credential = Credential(PAIR | {"AWS_REGION": "us-east-1"})
    assert credential.secrets == tuple(PAIR.values())
    assert "s3cr3t" not in repr(credential) and "s3cr3t" not in f"{credential}"


@pytest.mark.parametrize("bad", ["s3cr3t s3cr3t", "s3cr3t\r\nX: 1", "s3cr3té"])
def test_a_key_that_cannot_be_sent_is_refused_without_repeating_it(bad: str) -> None:
    problem = key_problem(KIMI, Environment(PAIR | {"AWS_SECRET_ACCESS_KEY": bad}))
    assert problem is not None and "has spaces or characters no key has" in problem
    assert "s3cr3t" not in problem
