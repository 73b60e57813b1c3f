"""Reading a file that was named: no more than the limit, and no waiting for a writer that may never come."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kmon.catalog import reading
from kmon.catalog.reading import NotRegularError, TooLargeError, UnreadableError, read_regular, read_to_end

LIMIT = 1 << 16

pytestmark = pytest.mark.timeout(30)


def silent(sentence: str) -> None:
    raise AssertionError(sentence)


@contextmanager
def written(path: Path, *pieces: bytes) -> Iterator[None]:
    """Somebody who opens the pipe ``path``, writes the pieces and closes it."""

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            for piece in pieces:
                pipe.write(piece)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    yield
    thread.join(20)


def test_a_file_up_to_the_limit_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * LIMIT)
    assert read_regular(path, LIMIT) == read_to_end(path, LIMIT, silent) == b"x" * LIMIT
    path.write_bytes(b"x" * (LIMIT + 1))
    for read in (lambda: read_regular(path, LIMIT), lambda: read_to_end(path, LIMIT, silent)):
        with pytest.raises(TooLargeError, match="larger than 65536 bytes"):
            read()


def test_what_is_not_there_is_told_from_what_cannot_be_read(tmp_path: Path) -> None:
    assert read_regular(tmp_path / "none", LIMIT) is None
    assert read_regular(tmp_path / "none" / "either", LIMIT) is None
    with pytest.raises(UnreadableError, match="No such file"):
        read_to_end(tmp_path / "none", LIMIT, silent)


def test_the_size_that_stat_tells_of_proc_is_not_believed() -> None:
    path = Path("/proc/self/status")
    assert path.stat().st_size == 0
    assert b"Name:" in (read_regular(path, LIMIT) or b"")
    with pytest.raises(TooLargeError):
        read_regular(path, 10)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom"])
def test_a_device_without_end_is_read_up_to_the_limit_only(device: str) -> None:
    with pytest.raises(TooLargeError):
        read_to_end(Path(device), LIMIT, silent)
    with pytest.raises(NotRegularError):
        read_regular(Path(device), LIMIT)


def test_the_null_device_holds_nothing() -> None:
    assert read_to_end(Path("/dev/null"), LIMIT, silent) == b""


def test_directories_and_sockets_are_named_as_such(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        for name, what in (("socket", "a socket"), (".", "a directory")):
            with pytest.raises(UnreadableError, match=what):
                read_to_end(tmp_path / name, LIMIT, silent)
            with pytest.raises(NotRegularError):
                read_regular(tmp_path / name, LIMIT)


def test_a_pipe_is_no_settings_file_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotRegularError):
        read_regular(tmp_path / "pipe", LIMIT)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with written(tmp_path / "pipe", b"one ", b"two"):
        assert read_to_end(tmp_path / "pipe", LIMIT, lambda _: None) == b"one two"


def test_a_pipe_that_is_already_open_is_read_by_its_number() -> None:
    """What ``<(program)`` and ``/dev/stdin`` are."""
    reader, writer = os.pipe()
    os.write(writer, b"said")
    os.close(writer)
    try:
        assert read_to_end(Path(f"/dev/fd/{reader}"), LIMIT, silent) == b"said"
    finally:
        os.close(reader)


def test_a_pipe_without_end_is_read_up_to_the_limit_only(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused = threading.Event()

    def flood() -> None:
        with (tmp_path / "pipe").open("wb", buffering=0) as pipe:
            try:
                while True:
                    pipe.write(b"y" * 4096)
            except BrokenPipeError:
                refused.set()

    threading.Thread(target=flood, daemon=True).start()
    with pytest.raises(TooLargeError):
        read_to_end(tmp_path / "pipe", LIMIT, lambda _: None)
    assert refused.wait(20)


def test_who_is_waited_for_is_said_first_for_a_writer_then_for_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "NOTIFY_AFTER_S", 0.02)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    said: list[str] = []
    writers: list[int] = []

    def heard(sentence: str) -> None:  # the writer comes only after the notice
        said.append(sentence)
        if len(said) == 1:
            threading.Thread(target=lambda: writers.append(os.open(path, os.O_WRONLY)), daemon=True).start()
        else:
            os.write(writers[0], b"at last")
            os.close(writers[0])

    assert read_to_end(path, LIMIT, heard) == b"at last"
    assert said == [
        f"waiting for a program that writes to the pipe {path}",
        f"waiting for the program that writes to {path} to go on or to close it",
    ]


def test_a_file_that_grows_as_fast_as_it_is_read_is_read_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x")
    assert path.stat().st_size < LIMIT

    def grow() -> None:
        with path.open("ab") as file:
            file.write(b"y" * 100)

    with path.open("rb", buffering=0) as file, pytest.raises(TooLargeError):
        list(reading._pieces(file.fileno(), LIMIT, grow))
