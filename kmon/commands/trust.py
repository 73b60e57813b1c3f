"""``kmon trust``: what a project would do with the user's keys, and whether the user allows it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from kmon import trusted
from kmon.catalog.errors import UsageError
from kmon.catalog.trust import UntrustedHostError, Wish
from kmon.config import FILE_NAME, load_settings, user_config_dir
from kmon.dialects.text import clean


def main(options: argparse.Namespace) -> int:
    """Show what the project in a directory wants, and allow it if the user says so; or take back what was allowed."""
    directory = Path(options.directory)
    if not directory.is_dir():
        raise UsageError(f"there is no directory {options.directory!r}; name the project to trust")
    project, user_dir = trusted.name_of(directory), user_config_dir()
    if options.revoke:
        hosts = trusted.revoke(user_dir, project)
        print(f"{project}: {'no longer allowed: ' + ', '.join(hosts) if hosts else 'nothing was allowed'}")
        return 0
    if not (directory / FILE_NAME).is_file():
        raise UsageError(f"there is no {FILE_NAME} in {project}, so there is nothing to trust")
    loaded = load_settings({}, os.environ, directory, user_dir)
    wishes = [wish for target in loaded.catalog.targets.values() if (wish := loaded.trust.passing(target))]
    for host in sorted(loaded.trust.allowed):
        print(f"{project}: allowed already: {host}")
    if not wishes:
        print(f"{project}: it asks for nothing that is not allowed")
        return 0
    if not options.yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        _show(project, wishes)
        raise UsageError("there is no terminal to ask on; add --yes if you trust the hosts above")
    if not options.yes and not _asked(project, wishes):
        print(f"{project}: nothing was allowed")
        return 1
    _allow(project, wishes)
    print(f"{project}: allowed: {', '.join(sorted({wish.host for wish in wishes}))}")
    return 0


def asked(refused: UntrustedHostError) -> bool:
    """Whether the user, who is at a terminal, allows now what was refused. It is remembered."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()) or not _asked(refused.directory, refused.wishes):
        return False
    _allow(refused.directory, refused.wishes)
    return True


def _asked(project: str, wishes: Sequence[Wish]) -> bool:
    """Ask on stderr, so that stdout keeps to what the command says."""
    _show(project, wishes)
    print(
        "Do you trust these hosts with these keys? It is remembered for this project. [y/N] ", end="", file=sys.stderr
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show(project: str, wishes: Iterable[Wish]) -> None:
    print(f"The project in {clean(project)} wants to", file=sys.stderr)
    for wish in dict.fromkeys(wishes):
        print(f"  {clean(wish.sentence)}  ({clean(wish.place)})", file=sys.stderr)


def _allow(project: str, wishes: Iterable[Wish]) -> None:
    trusted.allow(user_config_dir(), project, {wish.host for wish in wishes})
