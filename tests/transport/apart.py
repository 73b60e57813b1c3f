"""Programs in a network namespace of their own, where the network is what the test makes it."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest

APART = ("unshare", "--net", "--map-root-user")


def _can_be_apart() -> bool:
    with contextlib.suppress(OSError):
        return subprocess.run([*APART, "ip", "link"], capture_output=True).returncode == 0
    return False


needs_namespaces = pytest.mark.skipif(not _can_be_apart(), reason="needs network namespaces and iproute2")


def python_apart(make: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments after the shell commands ``make`` have made the network."""
    command = [*APART, "sh", "-ec", f'{make}; exec "$@"', "sh", sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)
