"""Promises of the device key: made once, for its owner only, and a broken one is a sentence."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kmon.catalog.errors import UsageError
from kmon.transport.device_key import FILE_NAME, device_in


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    place = tmp_path / "state" / "kmon"
    first = device_in(place)
    assert device_in(place).id == first.id and len(first.id) == 64
    assert stat.S_IMODE((place / FILE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert [path.name for path in place.iterdir()] == [FILE_NAME]


def test_programs_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: device_in(tmp_path / "kmon").id, range(16)))
    assert len(set(found)) == 1


def test_a_key_others_can_read_is_refused(tmp_path: Path) -> None:
    device_in(tmp_path)
    (tmp_path / FILE_NAME).chmod(0o640)
    with pytest.raises(UsageError, match=r"others may read the device key .*chmod 600"):
        device_in(tmp_path)


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_what_is_no_key_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    (tmp_path / FILE_NAME).chmod(0o600)
    with pytest.raises(UsageError, match="is no device key; delete it"):
        device_in(tmp_path)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot keep a device key in"):
        device_in(tmp_path / "file" / "kmon")
