"""Files of this process: how many it may have open, and the directories that kmon creates for itself."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from pathlib import Path

OPEN_FILES_ENOUGH = 65_536
"""More than any race needs. Some systems allow a billion, and each open file costs memory in the kernel."""


def raise_open_files_limit() -> int:
    """Raise the soft limit to the hard one, at most to ``OPEN_FILES_ENOUGH``. Return the limit then in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_ENOUGH if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has a second limit that cannot be read
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return open_files_limit()


def open_files_limit() -> int:
    """How many files, sockets included, this process may have open at once."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return OPEN_FILES_ENOUGH if soft == resource.RLIM_INFINITY else soft


def make_own(directory: Path) -> None:
    """Create ``directory`` (mode 0700) and its missing parents below the user's home directory.

    Raises ``OSError`` with the topmost missing path if the home directory or a parent of it would have to be created.
    """
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    home = Path("~").expanduser()
    for path in missing[1:]:
        if not directory.is_absolute() or home == Path("/") or home not in path.parents:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(missing[-1]))
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)


def state_dir() -> Path:
    """The user's state directory for kmon (log, trusted projects, device key). It may not exist yet."""
    import platformdirs

    try:
        return Path(platformdirs.user_state_dir("kmon"))
    except RuntimeError:  # the user id has no account entry, and HOME is not set
        return Path(os.devnull) / "kmon"
