"""Promises of the device key: made once, for its owner only, and a broken one is a sentence."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kmon.errors import UsageError
from kmon.openclaw.device_key import FILE_NAME, NotKeptError, device_in, device_note, own_device
from kmon.process.files import state_dir


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    place = tmp_path / "kmon"
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


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.mkdir(mode=0o700)], ids=["pipe", "directory"])
def test_what_is_no_file_is_said_and_nobody_is_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / FILE_NAME)
    with pytest.raises(UsageError, match=r"cannot read the device key .*: it is not a regular file"):
        device_in(tmp_path)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotKeptError, match=r"cannot keep a device key in .*: Not a directory"):
        device_in(tmp_path / "file" / "kmon")


def test_within_a_home_directories_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert device_note() is None
    assert own_device().id == device_in(state_dir()).id
    assert state_dir().is_relative_to(tmp_path)


@pytest.mark.parametrize("home", ["none", "none/either", "file"])
def test_a_home_that_is_none_is_not_made_and_the_key_lasts_as_long_as_the_program(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / home))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    note = device_note()
    assert note is not None
    assert note.startswith(f"cannot keep a device key in {tmp_path / home}")
    assert own_device().id == own_device().id
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_outside_a_home_only_the_last_directory_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert "state does not exist" in (device_note() or "")
    (tmp_path / "state").mkdir()
    assert device_note() is None
    assert (tmp_path / "state" / "kmon" / FILE_NAME).is_file()
