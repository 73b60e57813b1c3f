"""Dialects are found by name, and an unknown one is refused in a sentence."""

from __future__ import annotations

import pytest

from kmon.dialects import DECODABLE, NAMES, decoder, dialect
from kmon.dialects.wire import Decoder


def test_every_name_has_its_dialect() -> None:
    for name in NAMES:
        assert dialect(name).name == name
        assert dialect(name).decoder().end() == []


def test_every_decodable_dialect_has_a_decoder() -> None:
    for name in DECODABLE:
        wire: Decoder = decoder(name)
        assert wire.feed(b"") == []


def test_an_unknown_dialect_is_refused_with_the_known_ones() -> None:
    from kmon.catalog.errors import UsageError

    for find in (dialect, decoder):
        with pytest.raises(UsageError, match=r"'nonsense'.*chat"):
            find("nonsense")
