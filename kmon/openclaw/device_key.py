"""The file of the device key, in the user's state directory, readable only by its owner.

Where that directory neither exists nor can be created, the process has a temporary key. A home directory is never
created: a missing one is a mistake or intended.
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
from kmon.process.files import make_own, state_dir

FILE_NAME = "gateway-device.key"


class NotKeptError(Exception):
    """There is no key and none can be stored; the message is a sentence with path and reason."""


def own_device() -> Device:
    """This machine's device; where no key can be stored, a temporary one of this process.

    Raises :class:`UsageError` when there is a key that cannot be used.
    """
    try:
        return device_in(state_dir())
    except NotKeptError:
        return _temporary_device()


def device_note() -> str | None:
    """A sentence for the user if no device key can be stored, else None. Raises as :func:`own_device`."""
    try:
        device_in(state_dir())
    except NotKeptError as why:
        return f"{why}; this start has a key of its own, which a gateway does not know again next time"
    return None


def device_in(directory: Path) -> Device:
    """The device whose key is in ``directory``; the first time a new one.

    Raises :class:`UsageError` when the file is readable by others, is no key, or cannot be read, and
    :class:`NotKeptError` when it does not exist and cannot be created.
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
def _temporary_device() -> Device:
    return Device(secrets.token_bytes(SEED_BYTES))


def _create(path: Path) -> None:
    """Create the file atomically; of two programs that do so at once, one succeeds and both use its key."""
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
