"""How many files, sockets included, this process may have open at once."""

from __future__ import annotations

import contextlib
import resource

ENOUGH = 65_536
"""More than any race needs; a limit of a billion, as some systems have, is not asked for."""


def raise_limit() -> int:
    """Take what the system allows without further rights, up to ``ENOUGH``; the limit that is then in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has a second limit, which it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limit()


def limit() -> int:
    """The limit that is in force."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return ENOUGH if soft == resource.RLIM_INFINITY else soft
