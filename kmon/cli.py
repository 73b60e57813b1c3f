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
    from collections.abc import Callable, Container, Sequence

    from kmon.arguments.parser import Parser

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
            from kmon.interrupts import raise_on_interrupts

            raise_on_interrupts()
        code = _run_command(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        exec("")  # noqa: S102 - else one that passed through an exec, as of a dataclass, makes Python end by SIGINT
        code = 130
    finally:
        if argv is not None:
            from kmon import log

            log.end()
    if argv is None:
        from kmon.interrupts import ignore_interrupts

        ignore_interrupts()
    return code


def _run_command(arguments: list[str]) -> int:
    """Run it, and turn what goes wrong into a sentence and an exit code."""
    from kmon import open_files, standard_streams
    from kmon.catalog.errors import UsageError

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
            allowed = f"this machine lets one program open {open_files.limit()} files at once"
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
    from kmon.catalog.trust import UntrustedHostError

    try:
        return _dispatch(arguments)
    except UntrustedHostError as refused:
        from kmon.commands.trust import asked

        if not asked(refused):
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

    from kmon import log
    from kmon.catalog.errors import UsageError
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
    from kmon import log
    from kmon.catalog.errors import UsageError
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
    from kmon.arguments import between, gateway, racing, reference

    commands: dict[str, tuple[Callable[[], Parser], Callable[[argparse.Namespace], int]]] = {
        "run": (racing.run_parser, _run),
        "test": (racing.test_parser, _test),
        "gateway": (gateway.gateway_parser, _gateway),
        "targets": (reference.targets_parser, _targets),
        "doctor": (reference.doctor_parser, _doctor),
        "scenarios": (reference.scenarios_parser, _scenarios),
        "decode": (reference.decode_parser, _decode),
        "replay": (racing.replay_parser, _replay),
        "proxy": (between.proxy_parser, _proxy),
        "wrap": (between.wrap_parser, _wrap),
        "sim": (reference.sim_parser, _sim),
        "signatures": (reference.signatures_parser, _signatures),
        "explain": (reference.explain_parser, _explain),
        "selftest": (reference.selftest_parser, _selftest),
        "config": (reference.config_parser, _config),
        "trust": (reference.trust_parser, _trust),
    }
    arguments = _log_options_last(arguments, commands)
    named = bool(arguments) and arguments[0] in commands
    parser, command = commands[arguments[0]] if named else (racing.watch_parser, _watch)
    options = parser().parse_args(arguments[named:])
    _begin_log(options.log_level, options.log_file)
    return command(options)


# -- commands ----------------------------------------------------------------------------------------------------------


def _watch(options: argparse.Namespace) -> int:
    from kmon.commands import race, stuck

    if options.no_tui or not sys.stdout.isatty():
        return _run_as_lines(options, as_json=False)
    return stuck.watch(options) if stuck.asked(options) else race.watch(options)


def _run(options: argparse.Namespace) -> int:
    return _run_as_lines(options, as_json=options.json)


def _run_as_lines(options: argparse.Namespace, *, as_json: bool) -> int:
    from kmon.commands import race, stuck

    return stuck.run(options, as_json=as_json) if stuck.asked(options) else race.run(options, as_json=as_json)


def _test(options: argparse.Namespace) -> int:
    from kmon.commands import race

    return race.repeat(options)


def _replay(options: argparse.Namespace) -> int:
    from kmon.commands import race

    return race.replay(options)


def _gateway(options: argparse.Namespace) -> int:
    from kmon.commands.gateway import watch

    return watch(options)


def _targets(options: argparse.Namespace) -> int:
    from kmon.config import load
    from kmon.output.targets import main as list_targets

    return list_targets(check=options.check, as_json=options.json, names=options.names, loaded=load({}))


def _doctor(options: argparse.Namespace) -> int:
    from kmon.config import load
    from kmon.output.doctor import main as examine

    return examine(names=options.names, limit_s=options.timeout, as_json=options.json, loaded=load({}))


def _scenarios(options: argparse.Namespace) -> int:
    from kmon.config import load
    from kmon.output.scenarios import main as list_scenarios

    return list_scenarios(load({}))


def _decode(options: argparse.Namespace) -> int:
    from kmon.output.decode import main as decode

    return decode(options.files, as_json=options.json)


def _proxy(options: argparse.Namespace) -> int:
    from kmon.commands.between import proxy

    return proxy(options)


def _wrap(options: argparse.Namespace) -> int:
    from kmon.commands.between import wrap

    return wrap(options)


def _sim(options: argparse.Namespace) -> int:
    from kmon.commands import sim

    return sim.serve(options)


def _signatures(options: argparse.Namespace) -> int:
    from kmon.output.signatures import list_all, list_numbers

    return list_numbers() if options.numbers else list_all()


def _explain(options: argparse.Namespace) -> int:
    from kmon.output.signatures import explain

    return explain(options.name)


def _selftest(options: argparse.Namespace) -> int:
    from kmon.output.selftest import main as selftest

    return selftest(seeds=options.seeds, speed=options.speed, as_json=options.json, output=options.output)


def _trust(options: argparse.Namespace) -> int:
    from kmon.commands.trust import main as trust

    return trust(options)


def _config(options: argparse.Namespace) -> int:
    from kmon.config import load
    from kmon.output.config import main as show

    return show(load({}))
