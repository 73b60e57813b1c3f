"""Promises of the certificate reader: issuer and end as OpenSSL reads them, and a ValueError for anything else."""

from __future__ import annotations

import contextlib
import datetime
import ssl

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from kmon.doctor.certificates import read_certificate

ENDS = datetime.datetime(2031, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)


def certificate(not_after: datetime.datetime = ENDS, name: str = "Test Authority") -> bytes:
    leaf = trustme.CA(organization_name=name).issue_cert("localhost", not_after=not_after)
    return ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())


DER = certificate()


@pytest.mark.parametrize("year", [2031, 2049, 2050, 2100])
def test_the_end_is_read_in_both_of_its_forms(year: int) -> None:
    ends = ENDS.replace(year=year)
    assert read_certificate(certificate(ends)).expires_s == ends.timestamp()


def test_the_issuer_is_its_organization_and_name() -> None:
    assert read_certificate(DER).issuer.startswith("Test Authority")


def test_a_hostile_issuer_is_made_harmless() -> None:
    issuer = read_certificate(certificate(name="evil\x1b[2J\u202e\r\nname")).issuer
    assert issuer.isprintable() and issuer.startswith("evil[2J name")


def test_days_left_count_down_to_the_end() -> None:
    found = read_certificate(DER)
    assert found.days_left(ENDS.timestamp() - 3 * 86_400) == 3
    assert found.days_left(ENDS.timestamp() + 86_400) == -1


@given(st.binary(max_size=200))
def test_bytes_that_are_no_certificate_are_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_certificate(data)


@given(st.integers(0, len(DER) - 1), st.integers(0, 255))
def test_a_damaged_certificate_is_read_or_refused_and_nothing_else(at: int, byte: int) -> None:
    with contextlib.suppress(ValueError):
        read_certificate(DER[:at] + bytes([byte]) + DER[at + 1 :])
    with pytest.raises(ValueError):
        read_certificate(DER[:at])
