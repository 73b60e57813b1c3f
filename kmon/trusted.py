"""What the user has allowed to which project: one file in the user's own directory, written by ``kmon trust`` alone."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec

from kmon.catalog.errors import UsageError
from kmon.catalog.toml_source import read_settings

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
    known = allowed(user_dir)
    known[project] = sorted({*known.get(project, ()), *hosts})
    _write(user_dir, known)


def revoke(user_dir: Path, project: str) -> tuple[str, ...]:
    """Take back all that ``project`` was allowed, and return it. Raises :class:`UsageError`."""
    known = allowed(user_dir)
    hosts = known.pop(project, [])
    if hosts:
        _write(user_dir, known)
    return tuple(hosts)


def _write(user_dir: Path, known: Allowed) -> None:
    """Replace the file as a whole: a reader sees the old one or the new one, and only the user may write it."""
    path = user_dir / FILE_NAME
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        user_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(known, file, indent=2, sort_keys=True)
            file.write("\n")
        draft.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; nothing was changed") from None
