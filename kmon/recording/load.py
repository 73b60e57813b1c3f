"""Reads a recording file and detects its format by content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kmon.catalog.reading import NotRegularError, TooLargeError, UnreadableError, read_regular, read_to_end
from kmon.dialects.framing import SSE_TYPE
from kmon.dialects.json_access import items, members, parsed
from kmon.errors import UsageError
from kmon.recording import cassette, trace
from kmon.recording.cassette import interaction
from kmon.recording.interaction import Interaction, Request
from kmon.recording.sniff import framing_of, why_no_stream

FILE_LIMIT_BYTES = 64 * 1024 * 1024
KINDS = "a go-vcr or vcrpy cassette, a raw SSE or event-stream body, or a kmon recording"


def load(path: Path | str) -> list[Interaction]:
    """The interactions in a regular file, in order.

    Raises :class:`UsageError`, one sentence with the name of the file, if it cannot be read.
    """
    path = Path(path)
    try:
        data = read_regular(path, FILE_LIMIT_BYTES)
    except NotRegularError as why:
        raise UsageError(f"cannot read {path}: {why}, and is read more than once; save it as one") from None
    except UnreadableError as why:
        raise _unreadable(path, why) from None
    if data is None:
        raise _unreadable(path, UnreadableError("No such file or directory"))
    return interactions(path, data)


def read(path: Path, notify: Callable[[str], None]) -> bytes:
    """The bytes of a recording: a file, a pipe or a device. ``notify`` gets a sentence if no data comes for seconds.

    Raises :class:`UsageError` if it cannot be read.
    """
    try:
        return read_to_end(path, FILE_LIMIT_BYTES, notify)
    except UnreadableError as why:
        raise _unreadable(path, why) from None


def interactions(path: Path, data: bytes) -> list[Interaction]:
    """The interactions in ``data``, the bytes of ``path``. Raises :class:`UsageError` if it is no recording."""
    if not data.strip():
        raise UsageError(f"{path} is empty; give {KINDS}")
    try:
        found = _raw_stream(data) or _json(data) or _raw_answer(path, data) or _yaml(data)
    except RecursionError:  # by anchors, which nest deeper than the text
        raise UsageError(f"{path} is nested too deeply to be read; give {KINDS}") from None
    except ValueError as exc:
        raise UsageError(f"{path} is no readable recording: {exc}; give {KINDS}") from None
    if not found:
        raise UsageError(f"{path} holds no recorded exchange; give {KINDS}")
    return found


def _unreadable(path: Path, why: UnreadableError) -> UsageError:
    if isinstance(why, TooLargeError):
        return UsageError(f"{path} is larger than {FILE_LIMIT_BYTES // 2**20} MiB; record less, or split it")
    return UsageError(f"cannot read {path}: {why}; give {KINDS}")


def _raw_stream(data: bytes) -> list[Interaction] | None:
    framing = framing_of(data)
    if framing is None:
        return None
    return [interaction(0, Request(), 200, {"content-type": framing.media_types[0]}, data)]


def _json(data: bytes) -> list[Interaction] | None:
    """Interactions of JSON data: a cassette, a kmon recording, chunks one per line, or a provider's error."""
    if data.lstrip()[:1] != b"{":
        return None
    lines = _lines(data)
    if (why := why_no_stream(lines)) is not None:
        raise ValueError(why)
    whole = lines or _lines(data[: data.rfind(b"\n") + 1])  # a recording may have been cut in its last line
    if trace.is_trace(whole):
        if not (attempts := trace.interactions_of(whole)):
            raise ValueError("it ends before any attempt began")
        return attempts
    if (
        lines
        and all("choices" in line or "error" in line for line in lines)
        and (len(lines) > 1 or _is_chunk(lines[0]))
    ):
        body = b"".join(b"data: " + line + b"\n\n" for line in data.splitlines() if line.strip())
        return [interaction(0, Request(), 200, {"content-type": SSE_TYPE}, body)]
    try:
        value = parsed(data)
    except ValueError:
        return None
    found = cassette.interactions_of([value])
    if found is None and members(value).get("error"):
        answer = interaction(0, Request(body=b'{"stream":true}'), None, {"content-type": "application/json"}, data)
        return [answer]
    return found


def _raw_answer(path: Path, data: bytes) -> list[Interaction] | None:
    """The interaction of a ``*.body`` file, which is a response body even if it is no stream."""
    if path.suffix != ".body":
        return None
    return [interaction(0, Request(body=b'{"stream":true}'), None, {}, data)]


def _is_chunk(line: dict[str, Any]) -> bool:
    return any("delta" in members(choice) for choice in items(line.get("choices")))


def _lines(data: bytes) -> list[dict[str, Any]]:
    """The JSON objects of ``data``, one per line; empty if a line is anything else."""
    found = []
    for line in data.splitlines():
        if line.strip():
            try:
                value = parsed(line)
            except ValueError:
                return []
            if not isinstance(value, dict):
                return []
            found.append(value)
    return found


def _yaml(data: bytes) -> list[Interaction] | None:
    """Interactions of a cassette in YAML. Raises ``ValueError`` if it is broken."""
    from kmon.recording.yaml_documents import documents  # imports yaml, which every simulator would load in vain

    return cassette.interactions_of(documents(data))
