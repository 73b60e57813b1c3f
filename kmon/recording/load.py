"""Reads a recording file: undoes its compression, and asks each format whether it looks like one of its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kmon.catalog.reading import NotRegularError, TooLargeError, UnreadableError, read_regular, read_to_end
from kmon.errors import UsageError
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
        return Source(unpacked(data, path.name.lower()), path.name.lower())
    except ValueError as why:
        raise UsageError(f"cannot read {_shown(path)}: {why}") from None


def interactions(path: Path, source: Source) -> list[Interaction]:
    """The interactions in ``source``, the content of ``path``. Raises :class:`UsageError` if it is no recording."""
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
