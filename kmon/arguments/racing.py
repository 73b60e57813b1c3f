"""The options of the commands that race: ``kmon``, ``kmon run``, ``kmon test`` and ``kmon replay``."""

from __future__ import annotations

import argparse

from kmon import __version__
from kmon.arguments.parser import Parser, command_parser
from kmon.dialects.registry import names

EPILOG = """\
commands:
  kmon [TARGET...]      watch a race in the terminal (lines instead, when stdout is not a terminal)
  kmon run [TARGET...]  the same race without a screen: lines for people, or --json
  kmon test [TARGET...] identical requests again and again: pass rates, and what they prove
  kmon gateway [URL]    watch every run of a WebSocket gateway; sends nothing but reads
  kmon targets          what can be aimed at, and where its key was found; --check asks each provider
  kmon doctor [TARGET...]  DNS, TCP, TLS, key, clock, left-over programs: is it me or the path?
  kmon scenarios        what can be asked
  kmon decode FILE...   what recorded streams say
  kmon replay FILE...   play recorded streams through the real HTTP stack into the race screen
  kmon proxy --to TARGET  pass a program's requests on, byte for byte, and watch them
  kmon wrap --to TARGET -- COMMAND  the same for one program, with its base URL set
  kmon sim              a loopback provider that can go wrong in every way
  kmon signatures       what kmon can say about a stream; kmon explain NAME tells all about one
  kmon selftest         whether kmon says the right thing about every fault and every healthy twin
  kmon config           every setting, and where its value came from
  kmon trust [DIR]      let a project's kmon.toml have your keys sent to hosts of its own
'kmon COMMAND --help' tells the options of each.

exit codes:
  0 every run ended well   1 a run failed   2 wrong usage or configuration   3 kmon itself failed   130 interrupted
"""


def race_options(parser: Parser) -> None:
    aim = parser.add_argument_group("what to race")
    aim.add_argument("targets", nargs="*", metavar="TARGET", help="a name of 'kmon targets', or provider/model")
    aim.add_argument("--scenario", action="append", metavar="NAME[,NAME]", help="what to ask (default: code)")
    aim.add_argument(
        "--count", type=int, metavar="N", help="rounds: one run per target and scenario each (default 1; test: 10)"
    )
    aim.add_argument("--concurrency", type=int, metavar="N", help="runs open at once (default: one round at a time)")
    aim.add_argument("--max-requests", type=int, metavar="N", help="refuse to start what would send more requests")
    aim.add_argument("--max-tokens", type=int, metavar="N", help="refuse what could cost more output tokens in all")
    aim.add_argument("--base-url", metavar="URL", help="any endpoint, with --model (openclaw and ws need none)")
    aim.add_argument("--model", metavar="ID", help="the model to ask for at --base-url")
    aim.add_argument(
        "--dialect",
        metavar="NAME",
        default=names()[0],
        help=f"there: {', '.join(names())} (default {names()[0]})",
    )
    aim.add_argument("--api-key-env", metavar="NAME", help="environment variable that holds the key for --base-url")
    aim.add_argument("--nudge-after", type=float, metavar="S", help="nudge a run, once, when it has been silent for S")
    aim.add_argument("--session", metavar="KEY", help="go on with this session of a gateway (default: a fresh one)")
    limits = parser.add_argument_group("thresholds")
    _stall_option(limits)
    limits.add_argument("--timeout", dest="timeout_s", type=float, metavar="S", help="end an attempt (default 300)")
    limits.add_argument(
        "--connect-timeout", dest="connect_timeout_s", type=float, metavar="S", help="DNS, TCP and TLS (default 10)"
    )
    policy_options(parser)
    alert_options(parser)
    demo = parser.add_argument_group("simulator")
    demo.add_argument(
        "--demo", action="store_true", help="on the embedded simulator, free; --demo stuck-tui: the stuck chat"
    )
    demo.add_argument("--profile", metavar="NAME|FILE", help="--demo with this behaviour (see 'kmon sim --help')")
    demo.add_argument(
        "--fault", default="", metavar="NAME", help="--demo with this fault for all: 'kmon explain' names them"
    )
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


def policy_options(parser: Parser) -> None:
    policy = parser.add_argument_group(
        "retries, timeouts, fallback", "All off unless set: silence is reported, not ended. More of it in kmon.toml."
    )
    policy.add_argument("--retries", type=int, metavar="N", help="try what may pass again up to N times (default 0)")
    for flag, name, words in (
        ("--retry-base", "retry_base_s", "first wait at most S, doubled each time, with full jitter (default 1)"),
        ("--header-timeout", "header_timeout_s", "end an attempt without response headers after S seconds"),
        ("--first-token-timeout", "first_token_timeout_s", "end one without a first token after S seconds"),
        ("--idle-timeout", "idle_timeout_s", "end one that has sent no further token for S seconds"),
    ):
        policy.add_argument(flag, dest=name, type=float, metavar="S", help=words)
    policy.add_argument("--fallback", metavar="TARGET[,TARGET]", help="when retries are used up: ask these in turn")
    policy.add_argument(
        "--fallback-when", metavar="WHEN", help="before-first-token (default), or anytime: give up what was said"
    )


def alert_options(parser: Parser) -> None:
    alerts = parser.add_argument_group("alerts on a target's health (0 turns a rule off)")
    for flag, metavar, meaning in (
        ("--alert-success-rate", "R", "share of streams that end well (default 0.95, judged from 20 streams on)"),
        ("--alert-failures", "N", "streams that fail in a row (default 5)"),
        ("--alert-chunks", "N", "chunks per stream on average (default 3, judged from 5 streams on)"),
    ):
        alerts.add_argument(flag, type=float, metavar=metavar, help=meaning)
    alerts.add_argument(
        "--on-alert", metavar="COMMAND", help="run this, without a shell, with the alert on stdin as JSON"
    )
    alerts.add_argument("--alert-webhook", metavar="URL", help="POST the alert there as JSON")


def _stall_option(parser: argparse._ActionsContainer) -> None:
    meaning = "silence that is a stall (default 5); auto learns it per target and phase"
    parser.add_argument("--stall", dest="stall_s", metavar="S|auto", help=meaning)


def screen_options(parser: Parser) -> None:
    screen = parser.add_argument_group("screen")
    screen.add_argument("--theme", metavar="NAME", help="colours (default kmon-dark; t switches)")
    screen.add_argument("--fps", type=int, metavar="N", help="frames per second (default 10; 5 above 16 panes)")
    screen.add_argument("--bell", action="store_true", default=None, help="ring the terminal bell on a stall, too")
    screen.add_argument("--ascii", action="store_true", default=None, help="draw with ASCII characters only")
    screen.add_argument("--yes", action="store_true", help="start without showing the plan first")
    screen.add_argument("--no-tui", action="store_true", help="lines instead of a screen")


def watch_parser() -> Parser:
    parser = Parser(
        prog="kmon",
        description="Watch many LLM streams at once and see which one is silent right now.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"kmon {__version__}")
    race_options(parser)
    screen_options(parser)
    return parser


def run_parser() -> Parser:
    parser = command_parser("run", "Race without a screen: lines for people, or one JSON object per event.")
    race_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object per line, flushed as it happens")
    return parser


def test_parser() -> Parser:
    parser = command_parser("test", "Repeat identical requests, count what passes, and say what that proves.")
    race_options(parser)
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
    screen_options(parser)
    return parser


def replay_parser() -> Parser:
    parser = command_parser("replay", "Play recorded streams through the real HTTP stack into the race screen.")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="compress recorded time (default 1)")
    parser.add_argument("--as-recorded", action="store_true", help="keep the recorded duration whatever --speed says")
    parser.add_argument("--json", action="store_true", help="no screen: one JSON object per event")
    _stall_option(parser)
    parser.add_argument("--timeout", dest="timeout_s", type=float, metavar="S", help="end an attempt (default 300)")
    parser.set_defaults(max_requests=None, max_tokens=None)
    alert_options(parser)
    screen_options(parser)
    return parser
