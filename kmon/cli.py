"""The command line: parses, imports what the command needs and no more, and returns the exit code.

Exit codes: 0 every run ended well; 1 a run failed; 2 wrong usage or configuration; 3 kmon itself failed; 130
interrupted, by Ctrl-C, SIGTERM or SIGHUP.

Nothing but what the interpreter has already is imported here: until ``main`` runs, a signal ends kmon in the system's
way, with a traceback for Ctrl-C, and the parsers alone take 25 ms.
"""

from __future__ import annotations

import errno
import os
import sys

TYPE_CHECKING = False  # typing's own would be the heaviest import of this file
if TYPE_CHECKING:
    import argparse
    from collections.abc import Container, Iterator, Sequence
    from typing import Protocol

    from kmon.commands.flags import Parser

    class CommandModule(Protocol):
        """A module of ``kmon.commands``: what it says of itself, its flags, and what it does."""

        HELP: str

        def arguments(self, parser: Parser) -> None: ...

        def run(self, options: argparse.Namespace) -> int:
            """Return the exit code. May raise :class:`UsageError`."""
            ...


WATCH = (
    "kmon.commands.watch",
    "[TARGET...]",
    "watch a race in the terminal (lines instead, when stdout is not a terminal)",
)
COMMANDS = {
    "run": ("kmon.commands.run", "[TARGET...]", "the same race without a screen: lines for people, or --json"),
    "test": ("kmon.commands.test", "[TARGET...]", "identical requests again and again: pass rates and what they prove"),
    "gateway": ("kmon.commands.gateway", "[URL]", "watch every run of a WebSocket gateway; sends nothing but reads"),
    "targets": (
        "kmon.commands.targets", "", "what can be aimed at, and where its key was found; --check asks each provider"
    ),
    "doctor": (
        "kmon.commands.doctor", "[TARGET...]", "DNS, TCP, TLS, key, clock, left-over programs: is it me or the path?"
    ),
    "scenarios": ("kmon.commands.scenarios", "", "what can be asked"),
    "decode": ("kmon.commands.decode", "FILE...", "what recorded streams say"),
    "replay": (
        "kmon.commands.replay", "FILE...", "play recorded streams through the real HTTP stack into the race screen"
    ),
    "proxy": ("kmon.commands.proxy", "--to TARGET", "pass a program's requests on, byte for byte, and watch them"),
    "wrap": ("kmon.commands.wrap", "--to TARGET -- COMMAND", "the same for one program, with its base URL set"),
    "sim": ("kmon.commands.sim", "", "a loopback provider that can go wrong in every way"),
    "signatures": ("kmon.commands.signatures", "", "what kmon can say about a stream"),
    "explain": ("kmon.commands.explain", "NAME", "all about one of these, and how to see it on the simulator"),
    "selftest": (
        "kmon.commands.selftest", "", "whether kmon says the right thing about every fault and every healthy twin"
    ),
    "config": ("kmon.commands.config", "", "every setting, and where its value came from"),
    "trust": ("kmon.commands.trust", "[DIR]", "let a project's kmon.toml have your keys sent to hosts of its own"),
}  # fmt: skip
"""Per command its module, what it takes, and what it does in one line. ``WATCH`` is kmon without a command."""
LOG_WORDS = """\
kmon's own errors are logged with their traceback: --log-level LEVEL, --log-file PATH, before or after COMMAND;
KMON_LOG_LEVEL, KMON_LOG_FILE; KMON_DEBUG=1 logs everything and shows tracebacks. 'kmon config' tells where the log is.
"""
EXIT_CODES = """\
exit codes:
  0 every run ended well   1 a run failed   2 wrong usage or configuration   3 kmon itself failed   130 interrupted
"""
LINE_LIMIT_CHARS = 2_000
"""A sentence that quotes a file's own words may be as long as these."""
LOG_OPTIONS = ("--log-level", "--log-file")
_STDOUT_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""What writing can fail with when a disk is full or a file or terminal is gone."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Never raises and never prints a traceback (unless KMON_DEBUG=1): it is logged.

    Without ``argv`` it takes the process's own arguments, and its signals as well.
    """
    try:
        if argv is None:
            from kmon.process.interrupts import raise_on_interrupts

            raise_on_interrupts()
        code = _run_command(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        exec("")  # noqa: S102 - else one that passed through an exec, as of a dataclass, makes Python end by SIGINT
        code = 130
    finally:
        if argv is not None:
            from kmon.logs import log

            log.end()
    if argv is None:
        from kmon.process.interrupts import ignore_interrupts

        ignore_interrupts()
    return code


def _run_command(arguments: list[str]) -> int:
    """Run it, and turn what goes wrong into a sentence and an exit code."""
    from kmon.errors import UsageError
    from kmon.process import standard_streams

    closed = sys.stdout is None
    standard_streams.set_up()
    if closed:
        _say("cannot write to stdout: it is closed")
        return 3
    try:
        return _flushed(arguments)
    except UsageError as error:
        _say(str(error))
        return 2
    except BrokenPipeError:  # the reader of our stdout has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 130
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            from kmon.process.files import open_files_limit

            allowed = f"this machine lets one program open {open_files_limit()} files at once"
            _say(f"{allowed}, and they are used up; raise the limit with 'ulimit -n 4096'")
            return 3
        if error.errno not in _STDOUT_ERRNOS:
            return _internal(error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python tries again when it exits
        _say(f"cannot write to stdout: {error.strerror}")
        return 3
    except Exception as error:
        return _internal(error)


def _flushed(arguments: list[str]) -> int:
    """Run the command and write all it printed while there is still someone to say that it cannot be written."""
    from kmon.errors import UsageError

    try:
        return _dispatch(arguments)
    except UsageError as refused:
        from kmon.catalog.trust import UntrustedHostError

        if not isinstance(refused, UntrustedHostError):
            raise
        from kmon.commands.trust import allowed_when_asked

        if not allowed_when_asked(refused):
            raise
        return _dispatch(arguments)
    finally:
        sys.stdout.flush()


def _say(sentence: str) -> None:
    """One line on stderr. Where that takes nothing (see ``standard_streams``) the exit code still tells."""
    from kmon.dialects.text import clean

    line = " ".join(clean(sentence).split("\n"))
    print(f"kmon: {line if len(line) <= LINE_LIMIT_CHARS else line[:LINE_LIMIT_CHARS] + '…'}", file=sys.stderr)


def _internal(error: Exception) -> int:
    """Log what went wrong in kmon itself, and say where the log is."""
    import logging

    from kmon.errors import UsageError
    from kmon.logs import log
    from kmon.simulator.embedded import SimulatorError

    if not log.begun():
        try:
            _begin_log(None, None)
        except UsageError as unusable:
            _say(str(unusable))
    logging.getLogger(__name__).error("the command failed", exc_info=error)
    if isinstance(error, SimulatorError):
        _say(f"{error}; {log.whereabouts()}")
    else:
        _say(log.failed("kmon itself failed", error))
    return 3


def _begin_log(level: str | None, file: str | None) -> None:
    from kmon.errors import UsageError
    from kmon.logs import log
    from kmon.redaction.redact import redaction

    try:
        log.begin(level, file, os.environ, redaction)
    except log.UnusableLogError as error:
        raise UsageError(str(error)) from None


def _log_options_last(arguments: list[str], commands: Container[str]) -> list[str]:
    """The arguments with log options that stand before the command's name moved behind it."""
    at = 0
    while at < len(arguments) and arguments[at].partition("=")[0] in LOG_OPTIONS:
        at += 1 if "=" in arguments[at] else 2
    if at >= len(arguments) or arguments[at] not in commands:
        return arguments
    return [arguments[at], *arguments[:at], *arguments[at + 1 :]]


def _dispatch(arguments: list[str]) -> int:
    arguments = _log_options_last(arguments, COMMANDS)
    name = ""
    if arguments and arguments[0] in COMMANDS:
        name, *arguments = arguments
    options = parser_of(name).parse_args(arguments)
    _begin_log(options.log_level, options.log_file)
    return _command(COMMANDS[name][0] if name else WATCH[0]).run(options)


def _command(module: str) -> CommandModule:
    from importlib import import_module

    return import_module(module)


def parser_of(name: str) -> Parser:
    """The parser of ``kmon NAME``; of kmon without a command where ``name`` is empty."""
    from kmon.commands.flags import Parser

    command = _command(COMMANDS[name][0] if name else WATCH[0])
    parser = Parser(prog=f"kmon {name}".strip(), description=command.HELP, allow_abbrev=False)
    if not name:
        import argparse

        from kmon import __version__

        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = "\n".join([*_commands(), "", LOG_WORDS, EXIT_CODES])
        parser.add_argument("--version", action="version", version=f"kmon {__version__}")
    command.arguments(parser)
    return parser


def _commands() -> Iterator[str]:
    yield "commands:"
    for name, (_, takes, words) in {"": WATCH, **COMMANDS}.items():
        yield f"  {' '.join(filter(None, ('kmon', name, takes))).ljust(20)}  {words}"
    yield "'kmon COMMAND --help' tells the options of each."
