"""Reads a recording file: undoes its compression, and asks each format whether it looks like one of its files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import structs

from kmon.catalog.reading import NotRegularError, TooLargeError, UnreadableError, read_regular, read_to_end
from kmon.errors import UsageError
from kmon.recording import archives
from kmon.recording.formats import FORMATS
from kmon.recording.interaction import Interaction
from kmon.recording.source import Source, unpacked
from kmon.recording.unread import what_it_is

FILE_LIMIT_BYTES = 64 * 1024 * 1024
KINDS = "a HAR, a cassette (go-vcr, vcrpy, VCR and others), the output of curl, a raw body, or a kmon recording"
STANDARD_INPUT = Path("-")
_STANDARD_INPUT_DEVICE = Path("/dev/stdin")


def load(path: Path | str) -> list[Interaction]:
    """The interactions in a regular file, in order.

    Raises :class:`UsageError`, one sentence with the name of the file, if it cannot be read.
    """
    path = Path(path)
    if path == STANDARD_INPUT:
        raise UsageError("standard input cannot be replayed, because recordings are read twice; save it as a file")
    try:
        data = read_regular(path, FILE_LIMIT_BYTES)
    except NotRegularError as why:
        raise UsageError(f"cannot read {path}: {why}, and is read more than once; save it as one") from None
    except UnreadableError as why:
        raise _unreadable(path, why) from None
    if data is None:
        raise _unreadable(path, UnreadableError("No such file or directory"))
    return interactions(path, source_of(path, data))


def read(path: Path, notify: Callable[[str], None]) -> Source:
    """The content of a recording: a file, a pipe or a device, or standard input for ``-``.

    ``notify`` gets a sentence if no data comes for seconds. Raises :class:`UsageError` if it cannot be read.
    """
    try:
        data = read_to_end(_STANDARD_INPUT_DEVICE if path == STANDARD_INPUT else path, FILE_LIMIT_BYTES, notify)
    except UnreadableError as why:
        raise _unreadable(path, why) from None
    return source_of(path, data)


def source_of(path: Path, data: bytes) -> Source:
    """The bytes of ``path`` without compression. Raises :class:`UsageError` if they cannot be had."""
    try:
        return Source(unpacked(data, path.name.lower()), path.name.lower(), beside=partial(_beside, path))
    except ValueError as why:
        raise UsageError(f"cannot read {_shown(path)}: {why}") from None


def _beside(path: Path, name: str) -> bytes | None:
    """The file that a recording names and that lies in its folder; None if it does not."""
    if path == STANDARD_INPUT or name != Path(name).name:
        return None
    try:
        return read_regular(path.parent / name, FILE_LIMIT_BYTES)
    except UnreadableError:
        return None


def interactions(path: Path, source: Source) -> list[Interaction]:
    """The interactions in ``source``, the content of ``path``. Raises :class:`UsageError` if it is no recording."""
    return _in_archive(path, source.data) if source.data.startswith(archives.MAGIC) else _in_file(path, source)


def _in_archive(path: Path, data: bytes) -> list[Interaction]:
    """Those of all files in a zip archive; with a HAR in it, the other files are bodies of its answers."""
    try:
        files = archives.files_of(data)
    except ValueError as why:
        raise UsageError(f"cannot read {_shown(path)}: {why}") from None
    if sessions := archives.sessions_of(files):
        return _in_file(path, Source(sessions))
    found: list[Interaction] = []
    problem = UsageError(f"{_shown(path)} is an archive without files; give {KINDS}")
    for name in [name for name in files if name.endswith(".har")] or files:
        try:
            inside = Source(unpacked(files[name], name.lower()), name.lower(), beside=files.get)
            read = _in_file(path / name, inside)
        except UsageError as why:
            problem = why
        except ValueError as why:
            problem = UsageError(f"cannot read {path / name}: {why}")
        else:
            found += [structs.replace(one, index=len(found) + one.index) for one in read]
    if not found:
        raise problem
    return found


def _in_file(path: Path, source: Source) -> list[Interaction]:
    if not source.data.strip():
        raise UsageError(f"{_shown(path)} is empty; give {KINDS}")
    for one in FORMATS:
        try:
            found = one.read(source) if one.looks_like(source) else None
        except RecursionError:  # by anchors of YAML, which nest deeper than the text
            raise UsageError(f"{_shown(path)} is nested too deeply to be read; give {KINDS}") from None
        except ValueError as why:
            raise UsageError(f"{_shown(path)} is no readable recording: {why}; kmon reads {KINDS}") from None
        if found:
            return found
        if found is not None:
            raise UsageError(f"{_shown(path)} holds no recorded exchange; give {KINDS}")
    raise UsageError(f"{_shown(path)} is no recording that kmon reads: {what_it_is(source)}; kmon reads {KINDS}")


def _shown(path: Path) -> str:
    return "standard input" if path == STANDARD_INPUT else str(path)


def _unreadable(path: Path, why: UnreadableError) -> UsageError:
    if isinstance(why, TooLargeError):
        return UsageError(f"{_shown(path)} is larger than {FILE_LIMIT_BYTES // 2**20} MiB; record less, or split it")
    return UsageError(f"cannot read {_shown(path)}: {why}; give {KINDS}")
