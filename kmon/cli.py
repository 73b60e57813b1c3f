"""The command line: parses the arguments, imports and runs one command, and returns the exit code.

Exit codes: 0 every run ended well; 1 a run failed, or kmon failed between the runs; 2 wrong usage or configuration;
3 kmon itself failed; 4 no answer: too few runs to tell; 130 interrupted, by Ctrl-C, SIGTERM or SIGHUP.

This module imports only what the interpreter has loaded already. Before ``main`` runs, Ctrl-C prints a traceback and
other signals end the process, and importing the parsers takes 25 ms.
"""

from __future__ import annotations

import errno
import os
import sys

TYPE_CHECKING = False  # not imported from typing, which would be the slowest import of this file
if TYPE_CHECKING:
    import argparse
    from collections.abc import Container, Iterator, Sequence
    from typing import Protocol

    from kmon.commands.flags import Parser

    class CommandModule(Protocol):
        """A module of ``kmon.commands``: its description, its flags, and its function."""

        HELP: str

        def arguments(self, parser: Parser) -> None: ...

        def run(self, options: argparse.Namespace) -> int:
            """Run the command and return the exit code. Raises :class:`UsageError`."""
            ...


WATCH = (
    "kmon.commands.watch",
    "[TARGET...]",
    "watch a race in the terminal (lines instead, when stdout is not a terminal)",
)
COMMANDS = {
    "run": ("kmon.commands.run", "[TARGET...]", "the same race without a screen: lines for people, or --json"),
    "test": ("kmon.commands.test", "[TARGET...]", "identical requests again and again: pass rates and what they prove"),
    "isolate": (
        "kmon.commands.isolate", "TARGET --scenario S",
        "which factor makes this request fail; --shrink: which of its parts"
    ),
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
"""Per command: module, arguments and summary. ``WATCH`` is kmon without a command."""
LOG_WORDS = (
    "kmon's own errors are logged with their traceback: --log-level LEVEL, --log-file PATH, before or after COMMAND; "
    "KMON_LOG_LEVEL, KMON_LOG_FILE; KMON_DEBUG=1 logs everything and shows tracebacks. 'kmon config' tells where the "
    "log is."
)
EXIT_CODES = """\
exit codes:
  0    every run ended well
  1    a run failed, or kmon failed between the runs
  2    wrong usage or configuration
  3    kmon itself failed
  4    test: undecided; isolate: no answer
  130  interrupted
"""
HELP_COLUMN = 24
"""Where the words of the help begin, as argparse lays out the options."""
LINE_LIMIT_CHARS = 2_000
"""Longest error message, because it may quote a file."""
LOG_OPTIONS = ("--log-level", "--log-file")
_STDOUT_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""Errors of a write to stdout if the disk is full, or the file or terminal is closed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code. Exceptions are logged, and printed only with KMON_DEBUG=1.

    Without ``argv`` it uses the arguments of the process and handles its signals.
    """
    try:
        if argv is None:
            from kmon.process.interrupts import raise_on_interrupts

            raise_on_interrupts()
        code = _run_command(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        exec("")  # noqa: S102 - if the interrupt passed through an exec (of a dataclass), Python would end by SIGINT
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
    """Run the command, and turn an exception into a sentence and an exit code."""
    from kmon.errors import UsageError
    from kmon.process import standard_streams
    from kmon.process.files import open_files_limit

    closed = sys.stdout is None
    standard_streams.set_up()
    if closed:
        _print_error("cannot write to stdout: it is closed")
        return 3
    try:
        return _flushed(arguments)
    except UsageError as error:
        _print_error(str(error))
        return 2
    except BrokenPipeError:  # the reader of stdout has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 130
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            limit = f"this machine lets one program open {open_files_limit()} files at once"
            _print_error(f"{limit}, and they are used up; raise the limit with 'ulimit -n 4096'")
            return 3
        if error.errno not in _STDOUT_ERRNOS:
            return _internal(error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python tries again when it exits
        _print_error(f"cannot write to stdout: {error.strerror}")
        return 3
    except Exception as error:
        return _internal(error)


def _flushed(arguments: list[str]) -> int:
    """Run the command and flush stdout, so that a failed write is reported here and not at exit."""
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


def _print_error(sentence: str) -> None:
    """Print one line on stderr; if stderr is closed (see ``standard_streams``), only the exit code is left."""
    from kmon.dialects.text import clean

    line = " ".join(clean(sentence).split("\n"))
    print(f"kmon: {line if len(line) <= LINE_LIMIT_CHARS else line[:LINE_LIMIT_CHARS] + '…'}", file=sys.stderr)


def _internal(error: Exception) -> int:
    """Log an internal error, and print where the log is. Returns exit code 3."""
    import logging

    from kmon.errors import UsageError
    from kmon.logs import log
    from kmon.simulator.embedded import SimulatorError

    if not log.begun():
        try:
            _begin_log(None, None)
        except UsageError as unusable:
            _print_error(str(unusable))
    logging.getLogger(__name__).error("the command failed", exc_info=error)
    if isinstance(error, SimulatorError):
        _print_error(f"{error}; {log.whereabouts()}")
    else:
        _print_error(log.failed("kmon itself failed", error))
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
    """The arguments, with log options before the command's name moved behind it."""
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
    """The parser of ``kmon NAME``, or of kmon without a command if ``name`` is empty."""
    from kmon.commands.flags import Parser

    command = _command(COMMANDS[name][0] if name else WATCH[0])
    parser = Parser(prog=f"kmon {name}".strip(), description=command.HELP, allow_abbrev=False)
    if not name:
        import argparse

        from kmon import __version__

        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = "\n".join(_epilog())
        parser.add_argument("--version", action="version", version=f"kmon {__version__}")
    command.arguments(parser)
    return parser


def _epilog() -> Iterator[str]:
    """The lines of the help after the options: commands, log, exit codes."""
    from shutil import get_terminal_size
    from textwrap import wrap

    width = max(get_terminal_size().columns - 2, 2 * HELP_COLUMN)  # as argparse has it
    yield "commands:"
    for name, (_, takes, words) in {"": WATCH, **COMMANDS}.items():
        yield from _entry(" ".join(filter(None, ("kmon", name, takes))), words, width)
    yield "'kmon COMMAND --help' tells the options of each."
    yield ""
    yield from wrap(LOG_WORDS, width, break_on_hyphens=False)
    yield ""
    yield EXIT_CODES


def _entry(name: str, words: str, width: int) -> Iterator[str]:
    """``name`` and its words in their column; a name that is too long for it has a line of its own."""
    from textwrap import wrap

    head = f"  {name}".ljust(HELP_COLUMN)
    first, *more = wrap(words, width - HELP_COLUMN, break_on_hyphens=False)
    if len(head) > HELP_COLUMN or not head.endswith("  "):
        yield head.rstrip()
        head = " " * HELP_COLUMN
    yield head + first
    yield from (" " * HELP_COLUMN + line for line in more)
