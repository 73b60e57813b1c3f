"""What the user has allowed to which project: one file in the user's own directory, written by ``kmon trust`` alone."""

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
"""Per directory of a project, by its real path: the hosts it may have keys sent to."""


def allowed(user_dir: Path) -> Allowed:
    """Everything the user has allowed. Raises :class:`UsageError` for a file that cannot be read or is not this one."""
    path = user_dir / FILE_NAME
    try:
        return msgspec.json.decode(read_settings(path) or b"{}", type=Allowed)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UsageError(f"{path} is not what 'kmon trust' writes; delete it, and allow again what you trust") from None


def name_of(project_dir: Path) -> str:
    """How a project is known: its directory's real path, so that no link stands for another."""
    return os.path.realpath(project_dir)


def allow(user_dir: Path, project: str, hosts: Iterable[str]) -> None:
    """Allow ``project`` these hosts besides what it was allowed before. Raises :class:`UsageError`."""
    with _changing(user_dir) as known:
        known[project] = sorted({*known.get(project, ()), *hosts})


def revoke(user_dir: Path, project: str) -> tuple[str, ...]:
    """Take back all that ``project`` was allowed, and return it. Raises :class:`UsageError`."""
    with _changing(user_dir) as known:
        return tuple(known.pop(project, ()))


@contextlib.contextmanager
def _changing(user_dir: Path) -> Iterator[Allowed]:
    """What is allowed, written back when it was changed; two kmon that do so at once wait for each other."""
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
    """Replace the file as a whole: a reader sees the old one or the new one, and only the user may write it."""
    path = user_dir / FILE_NAME
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(known, file, indent=2, sort_keys=True)
        file.write("\n")
    draft.replace(path)
