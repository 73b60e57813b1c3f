"""The options of the commands that do not race: what there is to know, to check, to read and to serve."""

from __future__ import annotations

from kmon.arguments.parser import Parser, command_parser


def targets_parser() -> Parser:
    parser = command_parser("targets", "List what can be aimed at, and where each key was found (never the key).")
    parser.add_argument("names", nargs="*", metavar="TARGET", help="only these")
    parser.add_argument("--check", action="store_true", help="ask each provider's GET /models")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    return parser


def doctor_parser() -> Parser:
    parser = command_parser(
        "doctor",
        "Measure every step of the way to each target five times (nothing that costs is sent), and say what is wrong.",
    )
    parser.add_argument("names", nargs="*", metavar="TARGET", help="only these (default: those with a key)")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="limit of each step (default 10)")
    parser.add_argument("--json", action="store_true", help="one JSON object per target, and one for this machine")
    return parser


def scenarios_parser() -> Parser:
    return command_parser("scenarios", "List what can be asked.")


def decode_parser() -> Parser:
    parser = command_parser(
        "decode",
        "Read cassettes (go-vcr, vcrpy), raw bodies, a gateway's frames and kmon recordings.",
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a file, or a pipe read to its end (Ctrl-C gives up), of 64 MiB at most",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per recorded stream")
    return parser


def sim_parser() -> Parser:
    parser = command_parser(
        "sim",
        "Serve a loopback provider with paced, deterministic streams and every fault: a torture bench for any client. "
        "Tells of each request what its client did, and in a table when it ends.",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="loopback address (default 127.0.0.1); requests for other hosts, and those of web pages, are refused",
    )
    parser.add_argument("--port", type=int, default=0, help="port (default 0: any free one, printed)")
    parser.add_argument(
        "--profile",
        default="smooth",
        metavar="NAME|FILE",
        help="smooth, demo, retries, seed-000, seed-001, seed-002, seed-003 or a TOML file",
    )
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="compress time, keep ratios (default 1)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="same seed, same streams (default 1)")
    parser.add_argument(
        "--fault", default="", metavar="NAME", help="for every request: NAME, NAME:key=value, or a place of --places"
    )
    parser.add_argument(
        "--places", action="store_true", help="also open addresses that refuse, are mute, or bad at TLS"
    )
    report = parser.add_argument_group("what its clients did")
    report.add_argument(
        "--report", nargs="?", const="", metavar="URL", help="ask the bench that runs on --port, or at URL, and end"
    )
    report.add_argument("--json", action="store_true", help="with --report: one JSON object per client and fault")
    gateway = parser.add_argument_group("a chat gateway (WebSocket) over that provider")
    gateway.add_argument("--gateway", action="store_true", help="serve one; its runs make real requests to a provider")
    gateway.add_argument("--protocol", type=int, metavar="3|4", help="of 2026.2.17 or of 2026.9.6 (default 3)")
    gateway.add_argument("--token", metavar="T", help="what clients must present (default: one that is printed)")
    gateway.add_argument(
        "--mechanism",
        metavar="a|b|c",
        help="how it seems stuck: a the adapter buffers, b a follow-up makes a false idle, c a silent retry",
    )
    gateway.add_argument(
        "--queue", metavar="MODE", help="collect, steer, followup or interrupt (default: the release's own)"
    )
    gateway.add_argument(
        "--gateway-fault",
        metavar="NAME",
        help="starting (at first), or of every run: stuck, held, tick-loss, frozen, seq-gap, slow-consumer or shutdown",
    )
    gateway.add_argument("--tick", type=float, metavar="S", help="seconds between ticks, before --speed (default 30)")
    gateway.add_argument(
        "--provider-url", metavar="URL", help="base URL of its model calls (default: a simulated provider of its own)"
    )
    return parser


def config_parser() -> Parser:
    return command_parser("config", "Print every setting, its value and where the value came from.")


def trust_parser() -> Parser:
    parser = command_parser(
        "trust",
        "Show to which hosts a project's kmon.toml would have your keys sent, and allow it to if you say so.",
    )
    parser.add_argument("directory", nargs="?", default=".", metavar="DIR", help="the project (default: where you are)")
    parser.add_argument("--yes", action="store_true", help="allow without asking")
    parser.add_argument("--revoke", action="store_true", help="take back all that was allowed")
    return parser


def signatures_parser() -> Parser:
    parser = command_parser("signatures", "List the named faults of a stream: what each is on the wire.")
    parser.add_argument(
        "--numbers", action="store_true", help="by the numbers F01 to F60: signature, faults, or why none"
    )
    return parser


def explain_parser() -> Parser:
    parser = command_parser("explain", "Tell what a signature usually means, what looks alike, and where it was seen.")
    parser.add_argument(
        "name",
        metavar="NAME",
        help="a signature or diagnosis of 'kmon signatures', a number such as F14, or a field report: seed-001",
    )
    return parser


def selftest_parser() -> Parser:
    parser = command_parser(
        "selftest",
        "Run every fault and every healthy twin through the real probe on loopback; print who was called what.",
    )
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="runs of each (default 20)")
    parser.add_argument(
        "--speed", type=float, default=5.0, metavar="X", help="compress time, to 20 at most (default 5)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--output", metavar="FILE", help="also write the JSON object to this file")
    return parser
