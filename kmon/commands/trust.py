"""``kmon trust``: shows to which hosts a project sends the user's keys, and lets the user allow it."""

from __future__ import annotations

import argparse
import os
import sys
import termios
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from kmon.catalog.keys import wish_of
from kmon.catalog.trust import UntrustedHostError, Wish
from kmon.commands.flags import Parser
from kmon.config import trusted
from kmon.config.sources import FILE_NAME, load_settings, user_config_dir
from kmon.dialects.text import clean
from kmon.errors import UsageError

HELP = "Show to which hosts a project's kmon.toml would have your keys sent, and allow it to if you say so."
HOSTS_LIMIT, NAMES_LIMIT = 20, 20
"""Limits of one question, so that it fits on a screen."""


def arguments(parser: Parser) -> None:
    parser.add_argument("directory", nargs="?", default=".", metavar="DIR", help="the project (default: where you are)")
    parser.add_argument("--yes", action="store_true", help="allow without asking")
    parser.add_argument("--revoke", action="store_true", help="take back all that was allowed")


def run(options: argparse.Namespace) -> int:
    """Show the hosts a project asks for and allow them if the user agrees; or revoke what was allowed."""
    directory = Path(options.directory)
    if not directory.is_dir():
        raise UsageError(f"there is no directory {options.directory!r}; name the project to trust")
    project, user_dir = trusted.name_of(directory), user_config_dir()
    if not project.isprintable():  # the name in the question must be the real one
        raise UsageError(f"{project} has characters in its name that cannot be shown; rename it")
    if options.revoke:
        hosts = trusted.revoke(user_dir, project)
        print(f"{project}: {'no longer allowed: ' + ', '.join(hosts) if hosts else 'nothing was allowed'}")
        return 0
    if not (directory / FILE_NAME).is_file():
        raise UsageError(f"there is no {FILE_NAME} in {project}, so there is nothing to trust")
    loaded = load_settings({}, os.environ, directory, user_dir)
    wishes = [wish for target in loaded.catalog.targets.values() if (wish := wish_of(target, loaded.trust))]
    for host in sorted(loaded.trust.allowed):
        print(f"{project}: allowed already: {host}")
    if not wishes:
        print(f"{project}: it asks for nothing that is not allowed")
        return 0
    if options.yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        _show(project, wishes)
    if not options.yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("there is no terminal to ask on; add --yes if you trust the hosts above")
    if not options.yes and not _confirmed(project, wishes):
        print(f"{project}: nothing was allowed")
        return 1
    _allow(project, wishes)
    print(f"{project}: allowed: {', '.join(sorted({wish.host for wish in wishes}))}")
    return 0


def allowed_when_asked(refused: UntrustedHostError) -> bool:
    """Ask the user at the terminal to allow what was refused, and store a yes. False without a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()) or not refused.directory.isprintable():
        return False
    if not _confirmed(refused.directory, refused.wishes):
        return False
    _allow(refused.directory, refused.wishes)
    return True


def _confirmed(project: str, wishes: Sequence[Wish]) -> bool:
    """Ask on stderr, because stdout is for the output of the command."""
    _show(project, wishes)
    question = "Trust these hosts with any key this project names, from now on? [y/N] "
    termios.tcflush(sys.stdin, termios.TCIFLUSH)  # drops what was typed before the question
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show(project: str, wishes: Iterable[Wish]) -> None:
    """Print all hosts and keys to allow. Raises :class:`UsageError` above the limits of a question."""
    by_host: dict[str, list[Wish]] = {}
    for wish in wishes:
        by_host.setdefault(wish.host, []).append(wish)
    names = {
        host: tuple(dict.fromkeys(name for wish in found for name in wish.names)) for host, found in by_host.items()
    }
    if len(names) > HOSTS_LIMIT or any(len(found) > NAMES_LIMIT for found in names.values()):
        raise UsageError(
            f"the project wants more than {HOSTS_LIMIT} hosts or {NAMES_LIMIT} keys for one, which nobody reads; "
            "take what you trust into your own kmon.toml"
        )
    print(f"The project in {project} wants to", file=sys.stderr)
    for host, found in by_host.items():
        whole = replace(found[0], names=names[host])
        print(f"  {clean(whole.sentence)}  (kmon.toml line {whole.place.line})", file=sys.stderr)


def _allow(project: str, wishes: Iterable[Wish]) -> None:
    trusted.allow(user_config_dir(), project, {wish.host for wish in wishes})
