"""Promises about headers: ids are kept, credentials and accounts are not, and Retry-After is understood."""

import datetime

import pytest

from kmon.dialects.http_answer import kept, retry_after_s

NOW = datetime.datetime(2026, 11, 21, 12, 0, 0, tzinfo=datetime.UTC)


def test_ids_and_timings_are_kept_and_nothing_that_names_the_account() -> None:
    headers = {
        "x-request-id": "r1", "cf-ray": "c1", "server-timing": "total;dur=3", "set-cookie": "s", "authorization": "k",
        "msh-org-id": "o", "msh-uid": "u", "openai-organization": "acme", "x-api-key": "k",
    }  # fmt: skip
    assert kept(headers) == {"x-request-id": "r1", "cf-ray": "c1", "server-timing": "total;dur=3"}


def test_values_are_bounded() -> None:
    assert len(kept({"x-request-id": "x" * 5000})["x-request-id"]) == 2_000


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-1e400", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds
