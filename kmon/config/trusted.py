"""Reads and writes the hosts that the user has allowed to each project: a file that only ``kmon trust`` writes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from kmon.catalog.toml_source import read_settings
from kmon.errors import UsageError
from kmon.process.files import make_own

FILE_NAME = "trusted.json"
Allowed = dict[str, list[str]]
"""Allowed hosts by the real path of a project's directory."""


def allowed(user_dir: Path) -> Allowed:
    """All that the user has allowed. Raises :class:`UsageError` for a file that cannot be read or decoded."""
    path = user_dir / FILE_NAME
    try:
        return msgspec.json.decode(read_settings(path) or b"{}", type=Allowed)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UsageError(f"{path} is not what 'kmon trust' writes; delete it, and allow again what you trust") from None


def name_of(project_dir: Path) -> str:
    """The key of a project: the real path of its directory, so that a link cannot name another project."""
    return os.path.realpath(project_dir)


def allow(user_dir: Path, project: str, hosts: Iterable[str]) -> None:
    """Add ``hosts`` to those allowed to ``project``. Raises :class:`UsageError` if the file cannot be written."""
    with _changing(user_dir) as known:
        known[project] = sorted({*known.get(project, ()), *hosts})


def revoke(user_dir: Path, project: str) -> tuple[str, ...]:
    """Remove all hosts of ``project`` and return them. Raises :class:`UsageError` if the file cannot be written."""
    with _changing(user_dir) as known:
        return tuple(known.pop(project, ()))


@contextlib.contextmanager
def _changing(user_dir: Path) -> Iterator[Allowed]:
    """Yield what is allowed under a lock between processes, and write it back if it was changed."""
    try:
        make_own(user_dir)
        with (user_dir / f".{FILE_NAME}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = allowed(user_dir)
            before = msgspec.json.encode(known)
            yield known
            if msgspec.json.encode(known) != before:
                _write(user_dir, known)
    except OSError as error:
        raise UsageError(f"cannot write {user_dir / FILE_NAME}: {error.strerror}; nothing was changed") from None


def _write(user_dir: Path, known: Allowed) -> None:
    """Replace the file atomically, with mode 0600."""
    path = user_dir / FILE_NAME
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(known, file, indent=2, sort_keys=True)
        file.write("\n")
    draft.replace(path)
