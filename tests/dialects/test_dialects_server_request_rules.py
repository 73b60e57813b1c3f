"""Promises of the rule for who may ask: what is somebody's own name, and that nothing which is odd gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.address import authority, names_loopback
from kmon.dialects.server_request import FieldError, LocalOnly, NotLocalError, request_fields

SCHEMES = ("http", "https", "ws", "file", "null", "app")


def let_in(fields: dict[str, str], host: str = "127.0.0.1", target: str = "/") -> bool:
    try:
        LocalOnly("the proxy", host, lambda _sentence: None).check(target, 1, fields)
    except NotLocalError as error:
        assert error.status in (400, 403, 421)
        return False
    return True


@pytest.mark.parametrize(("said", "own"), [("my-box:8787", True), ("MY-BOX.", True), ("my-box.evil.example", False)])
def test_the_name_that_was_listened_on_is_an_own_name(said: str, own: bool) -> None:
    assert let_in({"host": said}, host="My-Box") is own
    assert let_in({"host": said, "origin": f"http://{said}"}, host="My-Box") is own
    assert not let_in({"host": said}, host="127.0.1.1")


def test_an_own_page_is_one_of_the_same_host_and_port() -> None:
    for origin, own in (
        ("http://localhost:8787", True),
        ("https://localhost:8787", True),  # of a place of the simulator that speaks TLS
        ("http://localhost:8788", False),
        ("http://localhost", False),
        ("http://127.0.0.1:8787", False),
        ("ws://localhost:8787", False),
        ("localhost:8787", False),
        ("http://localhost:8787 ", False),
    ):
        assert let_in({"host": "localhost:8787", "origin": origin}) is own


@given(st.text(max_size=40))
def test_no_host_is_served_that_does_not_name_loopback(host: str) -> None:
    named = authority(host)
    assert let_in({"host": host}) is (named is not None and names_loopback(named[0]))


@given(st.sampled_from(SCHEMES), st.from_regex(r"[a-z0-9.:@-]{0,30}", fullmatch=True))
def test_no_page_is_served_but_the_own_one(scheme: str, rest: str) -> None:
    assert let_in({"host": "localhost:8787", "origin": f"{scheme}://{rest}"}) is (
        scheme in ("http", "https") and authority(rest) == ("localhost", "8787")
    )


@given(st.lists(st.integers(1, 255), min_size=4, max_size=4).filter(lambda parts: parts[0] != 127))
def test_an_address_of_another_machine_is_none_of_this_in_no_spelling(parts: list[int]) -> None:
    a, b, c, d = parts
    number = int.from_bytes(bytes(parts))
    for spelling in (f"{a}.{b}.{c}.{d}", f"{a}.{b}.{c * 256 + d}", str(number), hex(number), f"0x{a:x}.{b}.{c}.{d}"):
        assert not names_loopback(spelling)
    ours = int.from_bytes(bytes([127, b, c, d]))
    for spelling in (f"127.{b}.{c}.{d}", f"127.{b}.{c * 256 + d}", str(ours), hex(ours), f"0177.{b}.{c}.{d}"):
        assert names_loopback(spelling)


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_fields_are_read_as_any_other_reader_would_or_refused(lines: list[bytes]) -> None:
    try:
        fields = request_fields(lines)
    except FieldError as error:
        assert str(error).isprintable()
        return
    said = b"\r\n".join(lines)
    assert said.count(b"\n") == said.count(b"\r") == max(0, len(lines) - 1)
    assert b"\x00" not in said
    for line in lines:
        name, _, value = line.partition(b":")
        assert value.strip(b" \t").decode("latin-1") in fields[name.decode().lower()]


def test_each_kind_is_told_once() -> None:
    told: list[str] = []
    rule = LocalOnly("the proxy", "127.0.0.1", told.append)
    for number in range(50):
        for fields in (
            {"host": f"h{number}.example"},
            {"host": "a b"},
            {"host": "localhost", "origin": f"http://{number}.example"},
        ):
            with pytest.raises(NotLocalError):
                rule.check("/", 1, fields)
    assert len(told) == 3
