"""The log: all processes share one file, whole records, bounded, and a failing log stops no program."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kmon.logs import log
from kmon.logs.lines import LogLines
from kmon.redaction.redact import redaction

ROOT = Path(__file__).parents[2]
WRITER = """
import logging, sys
from pathlib import Path
from kmon.logs.log import SharedFile
from kmon.logs.lines import LogLines
handler = SharedFile(Path(sys.argv[1]), makes_parent=False, limit_bytes=int(sys.argv[4]))
handler.setFormatter(LogLines(lambda _: str))
own = logging.getLogger("kmon.writer")
own.addHandler(handler)
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    own.error("writer %s record %d %s", sys.argv[2], number, "x" * 100)
"""


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    log.end()


def begin(environ: dict[str, str], level: str | None = None, file: str | None = None) -> None:
    log.begin(level, file, environ, redaction)


def own_logger() -> logging.Logger:
    return logging.getLogger("kmon.test")


def at_home(monkeypatch: pytest.MonkeyPatch, home: Path) -> Path:
    """Where the log is of a user whose home that is."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return log.default_path()


def test_the_log_is_made_with_its_first_record_and_for_its_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = at_home(monkeypatch, tmp_path)
    begin({})
    own_logger().info("below the level")
    assert not path.parent.exists()
    own_logger().warning("at the level")
    assert path.read_text().endswith("at the level\n") and path.is_relative_to(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("environ", "level", "kept"),
    [
        ({}, None, ["warning", "error"]),
        ({}, "error", ["error"]),
        ({}, "Info", ["info", "warning", "error"]),
        ({"KMON_LOG_LEVEL": "error"}, None, ["error"]),
        ({"KMON_LOG_LEVEL": "error"}, "info", ["info", "warning", "error"]),
        ({"KMON_DEBUG": "1"}, None, ["debug", "info", "warning", "error"]),
        ({"KMON_DEBUG": "1"}, "error", ["error"]),
    ],
)
def test_the_level_decides_what_is_kept(
    environ: dict[str, str], level: str | None, kept: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "a.log"
    begin(environ, level, str(file))
    for name in log.LEVELS:
        own_logger().log(getattr(logging, name.upper()), "said at %s", name)
    assert [line.rpartition(" ")[2] for line in file.read_text().splitlines()] == kept


@pytest.mark.parametrize(
    ("environ", "level", "file", "words"),
    [
        ({}, "loud", None, "--log-level must be debug, info, warning or error, not 'loud'"),
        ({"KMON_LOG_LEVEL": "loud"}, None, None, "KMON_LOG_LEVEL must be"),
        ({}, None, "/dev/null", "--log-file /dev/null: cannot be written (it is no regular file)"),
        ({}, None, "missing/a.log", "--log-file missing/a.log: cannot be written (No such file or directory)"),
        ({"KMON_LOG_FILE": "."}, None, None, "KMON_LOG_FILE .: cannot be written (Is a directory)"),
        ({}, None, "a\0b", "cannot be written"),
    ],
)
def test_what_the_user_asked_for_and_cannot_be_is_said(
    environ: dict[str, str], level: str | None, file: str | None, words: str
) -> None:
    with pytest.raises(log.UnusableLogError) as raised:
        begin(environ, level, file)
    assert words in str(raised.value)


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(log.UnusableLogError):
        begin({}, file=str(tmp_path / "pipe"))


@pytest.mark.parametrize("home", ["missing", "a file"])
def test_a_default_log_that_cannot_be_written_stops_nobody(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "home"
    if home == "a file":
        place.write_text("")
    at_home(monkeypatch, place)
    begin({})
    own_logger().error("nobody will read this")
    assert "it could not be logged (" in log.failed("kmon itself failed", ValueError("x"))
    assert home == "a file" or not place.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_stops_nobody(tmp_path: Path) -> None:
    handler = log.SharedFile(tmp_path / "a.log", makes_parent=False)
    handler.setFormatter(LogLines(redaction))
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, handler.open())  # as if the disk of the file that is open had filled up meanwhile
    os.close(full)
    (tmp_path / "a.log").unlink()
    (tmp_path / "a.log").symlink_to("/dev/full")
    handler.handle(logging.LogRecord("kmon", logging.ERROR, "", 0, "lost", None, None))
    assert handler.problem == "No space left on device"
    (tmp_path / "a.log").unlink()
    handler.handle(logging.LogRecord("kmon", logging.ERROR, "", 0, "kept", None, None))
    assert handler.problem == "" and "kept" in (tmp_path / "a.log").read_text()
    handler.close()


def test_a_formatter_that_fails_stops_nobody(tmp_path: Path) -> None:
    def broken(secrets: tuple[str, ...]) -> Callable[[str], str]:
        raise LookupError(secrets)

    log.begin(None, str(tmp_path / "a.log"), {}, broken)
    own_logger().error("nobody will read this")
    assert "it could not be logged (LookupError)" in log.whereabouts()


def test_size_and_number_of_its_files_are_bounded(tmp_path: Path) -> None:
    handler = log.SharedFile(tmp_path / "a.log", makes_parent=False, limit_bytes=2_000)
    handler.setFormatter(LogLines(redaction))
    for number in range(200):
        handler.handle(logging.LogRecord("kmon", logging.ERROR, "", 0, "record %d", (number,), None))
    handler.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["a.log", "a.log.1", "a.log.2", "a.log.3"]
    assert all(path.stat().st_size <= 2_000 for path in tmp_path.iterdir())
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in tmp_path.iterdir())
    assert "record 199" in (tmp_path / "a.log").read_text()


def test_processes_that_write_at_once_lose_and_garble_nothing(tmp_path: Path) -> None:
    """4 processes, 200 records each of 170 bytes: about 136 kB over files of 60 kB, so that some are put aside."""
    path, writers, records = tmp_path / "a.log", 4, 200
    command = [sys.executable, "-c", WRITER, str(path)]
    processes = [
        subprocess.Popen(
            [*command, str(number), str(records), "60000"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(writers)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("go\n", timeout=60)
    lines = [line for file in tmp_path.iterdir() for line in file.read_text().splitlines()]
    said = sorted(line.partition("] ")[2] for line in lines)
    assert said == sorted(f"writer {w} record {n} {'x' * 100}" for w in range(writers) for n in range(records))
    assert len(list(tmp_path.iterdir())) > 1


def test_a_process_that_holds_the_lock_keeps_nobody_waiting(tmp_path: Path) -> None:
    import fcntl

    path = tmp_path / "a.log"
    path.write_text("x" * 100)
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        handler = log.SharedFile(path, makes_parent=False, limit_bytes=50)
        handler.setFormatter(LogLines(redaction))
        handler.handle(logging.LogRecord("kmon", logging.ERROR, "", 0, "kept", None, None))
        handler.close()
    assert path.read_text().endswith("kept\n")


def test_children_are_told_where_to_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert log.for_children() == {}
    monkeypatch.chdir(tmp_path)
    begin({}, "info", "a.log")
    assert log.for_children() == {"KMON_LOG_FILE": str(tmp_path / "a.log"), "KMON_LOG_LEVEL": "info"}


def test_records_of_other_packages_say_what_and_not_of_what(tmp_path: Path) -> None:
    begin({}, file=str(tmp_path / "a.log"))
    logging.getLogger("asyncio").error("Exception in callback read(b'canary')\nhandle: <Handle canary>")
    logging.getLogger("httpcore.connection").error("canary")
    assert (tmp_path / "a.log").read_text().partition("] ")[2] == "Exception in callback read\n"


def test_an_error_names_its_type_its_place_and_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(monkeypatch, tmp_path)
    begin({})
    try:
        log.SharedFile(tmp_path / "a" / "b", makes_parent=False).open()
    except FileNotFoundError as error:
        own_logger().exception("it happened")
        said = log.failed("kmon itself failed", error)
    assert said.startswith("kmon itself failed: FileNotFoundError in kmon/logs/log.py line ")
    assert said.endswith(f"; details in ~/{log.default_path().relative_to(tmp_path)}")
