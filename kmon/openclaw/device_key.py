"""Where the device key lives: one file in the user's state directory that only its owner can read.

Where there is no such place, and none can be made, a program has a key of its own for as long as it runs. Neither a
home directory nor anything above it is ever made: a home that does not exist is a mistake, or somebody's decision.
"""

from __future__ import annotations

import os
import secrets
import stat
from functools import cache
from pathlib import Path

from kmon.catalog.reading import TooLargeError, UnreadableError, read_regular
from kmon.errors import UsageError
from kmon.openclaw.protocol.device import SEED_BYTES, Device
from kmon.own_directory import make_own, state_dir

FILE_NAME = "gateway-device.key"


class NotKeptError(Exception):
    """There is no key, and none can be kept; the message is a sentence that says where and why."""


def own_device() -> Device:
    """This machine's device; where no key can be kept, this program's own.

    Raises :class:`UsageError` when there is a key that cannot be used.
    """
    try:
        return device_in(state_dir())
    except NotKeptError:
        return _passing_device()


def device_note() -> str | None:
    """A sentence for the user if no device key can be kept; None if there is one now. Raises as ``own_device``."""
    try:
        device_in(state_dir())
    except NotKeptError as why:
        return f"{why}; this start has a key of its own, which a gateway does not know again next time"
    return None


def device_in(directory: Path) -> Device:
    """The device whose key is kept in ``directory``; a new one the first time.

    Raises :class:`UsageError` when the file is readable by others, is no key, or cannot be read, and
    :class:`NotKeptError` when it is not there and cannot be made.
    """
    path = directory / FILE_NAME
    try:
        if not path.exists():
            _create(path)
    except OSError as error:
        raise NotKeptError(f"cannot keep a device key in {path}: {error.strerror}") from None
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        seed = read_regular(path, SEED_BYTES)
    except TooLargeError:
        seed = b""
    except (UnreadableError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot read the device key {path}: {why}; fix its permissions, or delete it") from None
    if mode & 0o077:
        raise UsageError(f"others may read the device key {path}; run 'chmod 600 {path}', or delete it for a new one")
    if seed is None or len(seed) != SEED_BYTES:
        raise UsageError(f"{path} is no device key; delete it, and the next start makes a new one")
    return Device(seed)


@cache
def _passing_device() -> Device:
    return Device(secrets.token_bytes(SEED_BYTES))


def _create(path: Path) -> None:
    """Make the file whole or not at all; of two programs that do so at once, one wins and both use its key."""
    _make(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(SEED_BYTES))
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _make(directory: Path) -> None:
    try:
        make_own(directory)
    except FileNotFoundError as error:
        raise NotKeptError(f"cannot keep a device key in {directory}: {error.filename} does not exist") from None
