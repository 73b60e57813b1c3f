"""Promises about keys in requests of others: they are found, whatever else the request carries."""

from __future__ import annotations

import pytest

from kmon.probe.overheard_keys import keys_in, keys_said

KEY = "sk-test-0123456789abcdef"


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key", "x-goog-api-key"])
def test_a_jar_of_cookies_does_not_crowd_out_the_key(name: str) -> None:
    jar = "; ".join(f"cookie-{number}=value-{number:08}" for number in range(40))
    assert KEY in keys_in({"cookie": jar, name: f"Bearer {KEY}"}, "")
    assert KEY in keys_in({"cookie": jar}, f"cookie_set=x&key={KEY}")


def test_only_what_is_named_like_a_key_is_one() -> None:
    said = f'{{"max_tokens": 12345678, "sessionKey": "agent:main:main", "model": "kimi-k2.6", "token": "{KEY}"}}'
    assert keys_said(said, answered=False) == (KEY,)
