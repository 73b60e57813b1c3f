"""The command line: parses, imports what the command needs and no more, and returns the exit code.

Exit codes: 0 every run ended well; 1 a run failed; 2 wrong usage or configuration; 3 kmon itself failed; 130
interrupted.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from kmon import __version__
from kmon.catalog.errors import UsageError

EPILOG = """\
commands:
  kmon [TARGET...]      watch a race in the terminal (lines instead, when stdout is not a terminal)
  kmon run [TARGET...]  the same race without a screen: lines for people, or --json
  kmon test [TARGET...] identical requests again and again: pass rates, and what they prove
  kmon targets          what can be aimed at, and where its key was found; --check asks each provider
  kmon doctor [TARGET...]  DNS, TCP, TLS, key, clock, left-over programs: is it me or the path?
  kmon scenarios        what can be asked
  kmon decode FILE...   what recorded streams say
  kmon replay FILE...   play recorded streams through the real HTTP stack into the race screen
  kmon sim              a loopback provider that can go wrong in every way
  kmon signatures       what kmon can say about a stream; kmon explain NAME tells all about one
  kmon selftest         whether kmon says the right thing about every fault and every healthy twin
  kmon config           every setting, and where its value came from
'kmon COMMAND --help' tells the options of each.

exit codes:
  0 every run ended well   1 a run failed   2 wrong usage or configuration   3 kmon itself failed   130 interrupted
"""

_STDOUT_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""What writing can fail with when a disk is full or a file or terminal is gone."""


class _Parser(argparse.ArgumentParser):
    """argparse whose errors are one sentence in kmon's voice, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; '{self.prog} --help' tells the options")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Never raises and never prints a traceback (set KMON_DEBUG=1 to see one)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if sys.stdout is None:  # the caller closed it
        print("kmon: cannot write to stdout: it is closed", file=sys.stderr)
        return 3
    try:
        return _flushed(arguments)
    except UsageError as error:
        print(f"kmon: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our stdout has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 130
    except OSError as error:
        if error.errno not in _STDOUT_ERRNOS:
            return _internal(error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python tries again when it exits
        print(f"kmon: cannot write to stdout: {error.strerror}", file=sys.stderr)
        return 3
    except Exception as error:
        return _internal(error)


def _flushed(arguments: list[str]) -> int:
    """Run the command and write all it printed while there is still someone to say that it cannot be written."""
    try:
        return _dispatch(arguments)
    finally:
        sys.stdout.flush()


def _internal(error: Exception) -> int:
    if os.environ.get("KMON_DEBUG"):
        raise error
    from kmon.simulator.embedded import SimulatorError

    what = str(error) if isinstance(error, SimulatorError) else f"internal error: {type(error).__name__}"
    print(f"kmon: {what}; KMON_DEBUG=1 shows where", file=sys.stderr)
    return 3


def _dispatch(arguments: list[str]) -> int:
    commands: dict[str, tuple[Callable[[], _Parser], Callable[[argparse.Namespace], int]]] = {
        "run": (_run_parser, _run),
        "test": (_test_parser, _test),
        "targets": (_targets_parser, _targets),
        "doctor": (_doctor_parser, _doctor),
        "scenarios": (_scenarios_parser, _scenarios),
        "decode": (_decode_parser, _decode),
        "replay": (_replay_parser, _replay),
        "sim": (_sim_parser, _sim),
        "signatures": (_signatures_parser, _signatures),
        "explain": (_explain_parser, _explain),
        "selftest": (_selftest_parser, _selftest),
        "config": (_config_parser, _config),
    }
    if arguments and arguments[0] in commands:
        parser, command = commands[arguments[0]]
        return command(parser().parse_args(arguments[1:]))
    return _watch(_watch_parser().parse_args(arguments))


# -- parsers -----------------------------------------------------------------------------------------------------------


def _race_options(parser: _Parser) -> None:
    aim = parser.add_argument_group("what to race")
    aim.add_argument("targets", nargs="*", metavar="TARGET", help="a name of 'kmon targets', or provider/model")
    aim.add_argument("--scenario", action="append", metavar="NAME[,NAME]", help="what to ask (default: code)")
    aim.add_argument("--count", type=int, metavar="N", help="rounds: one run per target and scenario each (default 1)")
    aim.add_argument("--concurrency", type=int, metavar="N", help="runs open at once (default: one round at a time)")
    aim.add_argument("--max-requests", type=int, metavar="N", help="refuse to start what would send more requests")
    aim.add_argument("--max-tokens", type=int, metavar="N", help="refuse what could cost more output tokens in all")
    aim.add_argument("--base-url", metavar="URL", help="any OpenAI-compatible endpoint, with --model")
    aim.add_argument("--model", metavar="ID", help="the model to ask for at --base-url")
    aim.add_argument(
        "--dialect", metavar="NAME", default="chat", help="there: chat, converse, messages, deepinfra (default chat)"
    )
    aim.add_argument("--api-key-env", metavar="NAME", help="environment variable that holds the key for --base-url")
    limits = parser.add_argument_group("thresholds")
    limits.add_argument("--stall", dest="stall_s", type=float, metavar="S", help="silence that is a stall (default 5)")
    limits.add_argument("--timeout", dest="timeout_s", type=float, metavar="S", help="end an attempt (default 300)")
    limits.add_argument(
        "--connect-timeout", dest="connect_timeout_s", type=float, metavar="S", help="DNS, TCP and TLS (default 10)"
    )
    demo = parser.add_argument_group("simulator")
    demo.add_argument("--demo", action="store_true", help="race on the embedded simulator: no keys, no cost")
    demo.add_argument("--profile", metavar="NAME|FILE", help="--demo with this behaviour (see 'kmon sim --help')")
    demo.add_argument(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="same seed, same streams; test: same order of targets (default 1)",
    )
    demo.add_argument(
        "--speed", type=float, metavar="X", help="simulator only: compress time (default 1; test --demo: 10)"
    )


def _screen_options(parser: _Parser) -> None:
    screen = parser.add_argument_group("screen")
    screen.add_argument("--theme", metavar="NAME", help="colours (default kmon-dark; t switches)")
    screen.add_argument("--fps", type=int, metavar="N", help="frames per second (default 10; 5 above 16 panes)")
    screen.add_argument("--bell", action="store_true", default=None, help="ring the terminal bell on a stall")
    screen.add_argument("--ascii", action="store_true", default=None, help="draw with ASCII characters only")
    screen.add_argument("--yes", action="store_true", help="start without showing the plan first")
    screen.add_argument("--no-tui", action="store_true", help="lines instead of a screen")


def _parser(name: str, description: str) -> _Parser:
    return _Parser(prog=f"kmon {name}".strip(), description=description, allow_abbrev=False)


def _watch_parser() -> _Parser:
    parser = _Parser(
        prog="kmon",
        description="Watch many LLM streams at once and see which one is silent right now.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"kmon {__version__}")
    _race_options(parser)
    _screen_options(parser)
    return parser


def _run_parser() -> _Parser:
    parser = _parser("run", "Race without a screen: lines for people, or one JSON object per event.")
    _race_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object per line, flushed as it happens")
    return parser


def _test_parser() -> _Parser:
    parser = _parser("test", "Repeat identical requests, count what passes, and say what that proves.")
    _race_options(parser)
    parser.set_defaults(count=10)
    design = parser.add_argument_group("experiment")
    design.add_argument("--no-nonce", action="store_true", help="let prompt caches answer: send the very same request")
    design.add_argument("--spacing", type=float, default=0.0, metavar="S", help="least time between rounds (default 0)")
    design.add_argument("--per-target", type=int, default=1, metavar="N", help="open at once per target (default 1)")
    design.add_argument("--until-proven", action="store_true", help="stop as soon as a difference is proven")
    design.add_argument("--pass-rate", type=float, metavar="R", help="with --until-proven: also prove R kept or missed")
    thresholds = parser.add_argument_group("thresholds that decide exit code 1")
    thresholds.add_argument("--fail-under", type=float, metavar="R", help="least pass rate per target, such as 0.95")
    thresholds.add_argument("--max-stall", type=float, metavar="S", help="longest silence")
    thresholds.add_argument("--max-ttft", type=float, metavar="S", help="longest wait for the first token")
    parser.add_argument("--json", action="store_true", help="no screen: one JSON object per line")
    _screen_options(parser)
    return parser


def _targets_parser() -> _Parser:
    parser = _parser("targets", "List what can be aimed at, and where each key was found (never the key).")
    parser.add_argument("names", nargs="*", metavar="TARGET", help="only these")
    parser.add_argument("--check", action="store_true", help="ask each provider's GET /models")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    return parser


def _doctor_parser() -> _Parser:
    parser = _parser(
        "doctor",
        "Measure every step of the way to each target five times (nothing that costs is sent), and say what is wrong.",
    )
    parser.add_argument("names", nargs="*", metavar="TARGET", help="only these (default: those with a key)")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="limit of each step (default 10)")
    parser.add_argument("--json", action="store_true", help="one JSON object per target, and one for this machine")
    return parser


def _scenarios_parser() -> _Parser:
    return _parser("scenarios", "List what can be asked.")


def _decode_parser() -> _Parser:
    parser = _parser("decode", "Read cassettes (go-vcr, vcrpy), raw bodies and kmon recordings; say what they hold.")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="one JSON object per recorded stream")
    return parser


def _replay_parser() -> _Parser:
    parser = _parser("replay", "Play recorded streams through the real HTTP stack into the race screen.")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="compress recorded time (default 1)")
    parser.add_argument("--as-recorded", action="store_true", help="keep the recorded duration whatever --speed says")
    parser.add_argument("--json", action="store_true", help="no screen: one JSON object per event")
    parser.add_argument("--stall", dest="stall_s", type=float, metavar="S", help="silence that is a stall (default 5)")
    parser.add_argument("--timeout", dest="timeout_s", type=float, metavar="S", help="end an attempt (default 300)")
    parser.set_defaults(max_requests=None, max_tokens=None)
    _screen_options(parser)
    return parser


def _sim_parser() -> _Parser:
    parser = _parser("sim", "Serve a loopback provider with paced, deterministic streams and every fault.")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port (default 0: any free one, printed)")
    parser.add_argument(
        "--profile", default="smooth", metavar="NAME|FILE", help="smooth, demo, seed-000, seed-002 or a TOML file"
    )
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="compress time, keep ratios (default 1)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="same seed, same streams (default 1)")
    return parser


def _config_parser() -> _Parser:
    return _parser("config", "Print every setting, its value and where the value came from.")


def _signatures_parser() -> _Parser:
    return _parser("signatures", "List the named faults of a stream: what each is on the wire.")


def _explain_parser() -> _Parser:
    parser = _parser("explain", "Tell what a signature usually means, what looks alike, and where it was seen.")
    parser.add_argument("name", metavar="NAME", help="a name of 'kmon signatures'")
    return parser


def _selftest_parser() -> _Parser:
    parser = _parser(
        "selftest",
        "Run every fault and every healthy twin through the real probe on loopback; print who was called what.",
    )
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="runs of each (default 20)")
    parser.add_argument(
        "--speed", type=float, default=5.0, metavar="X", help="compress time, to 20 at most (default 5)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser


# -- commands ----------------------------------------------------------------------------------------------------------


def _watch(options: argparse.Namespace) -> int:
    from kmon import commands

    if options.no_tui or not sys.stdout.isatty():
        return commands.run(options, as_json=False)
    return commands.watch(options)


def _run(options: argparse.Namespace) -> int:
    from kmon import commands

    return commands.run(options, as_json=options.json)


def _test(options: argparse.Namespace) -> int:
    from kmon import commands

    return commands.repeat(options)


def _replay(options: argparse.Namespace) -> int:
    from kmon import commands

    return commands.replay(options)


def _targets(options: argparse.Namespace) -> int:
    from kmon.config import load
    from kmon.report.targets import main as list_targets

    return list_targets(check=options.check, as_json=options.json, names=options.names, loaded=load({}))


def _doctor(options: argparse.Namespace) -> int:
    from kmon.config import load
    from kmon.report.doctor import main as examine

    return examine(names=options.names, limit_s=options.timeout, as_json=options.json, loaded=load({}))


def _scenarios(options: argparse.Namespace) -> int:
    from kmon.config import load
    from kmon.report.scenarios import main as list_scenarios

    return list_scenarios(load({}))


def _decode(options: argparse.Namespace) -> int:
    from kmon.report.decode import main as decode

    return decode(options.files, as_json=options.json)


def _sim(options: argparse.Namespace) -> int:
    from kmon.simulator.serve import SimOptions
    from kmon.simulator.serve import main as serve

    return serve(SimOptions(options.host, options.port, options.profile, options.speed, options.seed))


def _signatures(options: argparse.Namespace) -> int:
    from kmon.report.signatures import list_all

    return list_all()


def _explain(options: argparse.Namespace) -> int:
    from kmon.report.signatures import explain

    return explain(options.name)


def _selftest(options: argparse.Namespace) -> int:
    from kmon.report.selftest import main as selftest

    return selftest(seeds=options.seeds, speed=options.speed, as_json=options.json)


def _config(options: argparse.Namespace) -> int:
    from kmon.config import load
    from kmon.report.config import main as show

    return show(load({}))
