"""Where the device key lives: one file in the user's state directory that only its owner can read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from kmon.catalog.errors import UsageError
from kmon.dialects.openclaw.device import SEED_BYTES, Device

FILE_NAME = "gateway-device.key"


def state_dir() -> Path:
    """The directory of what kmon remembers for the user; it need not exist."""
    import platformdirs

    return Path(platformdirs.user_state_dir("kmon"))


def device_in(directory: Path) -> Device:
    """The device whose key is kept in ``directory``; a new one the first time.

    Raises :class:`UsageError` when the file is readable by others, is no key, or cannot be read or made.
    """
    path = directory / FILE_NAME
    try:
        if not path.exists():
            _create(path)
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            seed = file.read(SEED_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot keep a device key in {path}: {error.strerror}; fix its permissions") from None
    if mode & 0o077:
        raise UsageError(f"others may read the device key {path}; run 'chmod 600 {path}', or delete it for a new one")
    if len(seed) != SEED_BYTES:
        raise UsageError(f"{path} is no device key; delete it, and the next start makes a new one")
    return Device(seed)


def _create(path: Path) -> None:
    """Make the file whole or not at all; of two programs that do so at once, one wins and both use its key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(SEED_BYTES))
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
