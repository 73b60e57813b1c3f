"""Making the directories that are kmon's own, and none that are anybody else's."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def make_own(directory: Path) -> None:
    """Make kmon's own ``directory``, and what is missing between it and a home directory that exists.

    Raises ``OSError``, with the first place that does not exist, where that would make a home or what lies above one.
    """
    missing = [place for place in (directory, *directory.parents) if not place.exists()]
    home = Path("~").expanduser()
    for place in missing[1:]:
        if not directory.is_absolute() or home == Path("/") or home not in place.parents:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(missing[-1]))
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)


def state_dir() -> Path:
    """The directory of what kmon remembers for the user; it need not exist."""
    import platformdirs

    try:
        return Path(platformdirs.user_state_dir("kmon"))
    except RuntimeError:  # a user whom the system does not know, without HOME
        return Path(os.devnull) / "kmon"
