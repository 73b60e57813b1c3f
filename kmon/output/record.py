"""Writes the events to a file in a thread, so that a file that cannot be written stops nothing else."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Full, Queue

import msgspec

from kmon.errors import UsageError
from kmon.stream.events import Event

WAITING_BATCHES = 1_000
CLOSE_LIMIT_S = 2.0
TOO_SLOW = "it was not taken as fast as it came"


class Record:
    """One JSON object per line. Raises :class:`UsageError` if the file cannot be opened; later errors are returned.

    A separate thread writes, because a pipe whose reader pauses would block the event loop and the proxy with it. After
    an error the file keeps what was written, up to its last whole line.
    """

    def __init__(self, path: str) -> None:
        try:
            self._file = Path(path).open("wb", buffering=0)  # noqa: SIM115 - closed by the thread
        except OSError as error:
            raise UsageError(f"--json {path}: cannot be written ({error.strerror}); name another file") from None
        self._path, self._problem = path, ""
        self._batches: Queue[bytes | None] = Queue(WAITING_BATCHES)
        self._writer = threading.Thread(target=self._write_all, name="record", daemon=True)

    def begin(self) -> None:
        """Start the thread that writes."""
        self._writer.start()

    def put(self, events: Sequence[Event]) -> None:
        """Queue events to be written. Returns at once."""
        if self._problem or not events:
            return
        try:
            self._batches.put_nowait(b"".join(msgspec.json.encode(event) + b"\n" for event in events))
        except Full:
            self._problem = TOO_SLOW

    def close(self) -> str:
        """Wait for the queue, at most ``CLOSE_LIMIT_S``. Return a sentence if the record is incomplete, else ""."""
        if self._writer.ident is None:
            self._file.close()
            return ""
        deadline_s = time.monotonic() + CLOSE_LIMIT_S
        with contextlib.suppress(Full):
            self._batches.put(None, timeout=CLOSE_LIMIT_S)
        self._writer.join(max(0.0, deadline_s - time.monotonic()))
        if self._writer.is_alive():
            self._problem = TOO_SLOW
        return f"the record in {self._path} is incomplete: {self._problem}" if self._problem else ""

    def _write_all(self) -> None:
        try:
            with self._file:
                self._write_batches()
        except OSError as error:
            self._problem = error.strerror or type(error).__name__

    def _write_batches(self) -> None:
        whole = 0
        while (batch := self._batches.get()) is not None:
            left = memoryview(batch)
            try:
                while left:
                    left = left[self._file.write(left) :]
            except OSError:
                whole += batch.rfind(b"\n", 0, len(batch) - len(left)) + 1
                with contextlib.suppress(OSError):  # a pipe has no length
                    os.ftruncate(self._file.fileno(), whole)
                raise
            whole += len(batch)
