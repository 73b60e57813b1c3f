"""Promises about keys in requests of others: they are found, whatever else the request carries."""

from __future__ import annotations

import base64

import pytest

from kmon.model import Target
from kmon.probe.request_secrets import keys_in, keys_said, own_keys

KEY = "sk-test-0123456789abcdef"


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key", "x-goog-api-key"])
def test_a_jar_of_cookies_does_not_crowd_out_the_key(name: str) -> None:
    jar = "; ".join(f"cookie-{number}=value-{number:08}" for number in range(40))
    assert KEY in keys_in({"cookie": jar, name: f"Bearer {KEY}"}, "")
    assert KEY in keys_in({"cookie": jar}, f"cookie_set=x&key={KEY}")


def test_only_what_is_named_like_a_key_is_one() -> None:
    said = f'{{"max_tokens": 12345678, "sessionKey": "agent:main:main", "model": "kimi-k2.6", "token": "{KEY}"}}'
    assert keys_said(said, answered=False) == (KEY,)


def test_the_password_inside_basic_is_one_and_what_is_no_base64_is_none() -> None:
    said = base64.b64encode(b"user:" + KEY.encode()).decode()
    assert {KEY, f"user:{KEY}", said} <= set(keys_in({"authorization": f"Basic {said}"}, ""))
    assert keys_in({"authorization": "Basic not-base64!"}, "") == ("Basic not-base64!", "not-base64!")


def test_keys_in_a_targets_own_headers_and_address_are_known() -> None:
    target = Target(
        name="t", provider="t", model="m", base_url=f"https://me:pass-word-1@host/v1?api_key={KEY}",
        headers={"X-Session-Token": "session-01234567", "X-Title": "my favourite program"},
    )  # fmt: skip
    assert {KEY, "session-01234567", "pass-word-1"} == set(own_keys(target))
