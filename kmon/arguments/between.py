"""The options of the commands that stand between a program and its provider: ``kmon proxy`` and ``kmon wrap``."""

from __future__ import annotations

import argparse

from kmon.arguments.parser import Parser
from kmon.arguments.racing import screen_options

DEFAULT_PORT = 8787
SIGNED = """\
Paths are passed on as they come: with --to together the program's base URL is http://127.0.0.1:PORT/v1.
Bedrock: use a Bedrock API key (AWS_BEARER_TOKEN_BEDROCK). A request signed with SigV4 is signed for its Host header, so
AWS refuses one that was signed for the proxy's address; kmon says so when it sees one.
"""


def _between(name: str, description: str) -> Parser:
    parser = Parser(
        prog=f"kmon {name}",
        description=description,
        epilog=SIGNED,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--to", metavar="TARGET|URL", help="where requests go on to: a target's name or a base URL")
    parser.add_argument("--stall", dest="stall_s", type=float, metavar="S", help="silence that is a stall (default 5)")
    parser.add_argument(
        "--connect-timeout", dest="connect_timeout_s", type=float, metavar="S", help="DNS, TCP and TLS (default 10)"
    )
    return parser


def proxy_parser() -> Parser:
    parser = _between(
        "proxy", "Pass requests on to a provider, byte for byte, and show each as a run while it goes on."
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="loopback address (default 127.0.0.1); requests for other hosts, and those of web pages, are refused",
    )
    parser.add_argument(
        "--gateway",
        nargs="?",
        const="",
        metavar="URL",
        help="also watch the gateway that asks through this proxy (default: that of the target gateway), "
        "and say on which side a run hangs",
    )
    parser.add_argument(
        "--api-key-env", metavar="NAME", help="with --gateway: environment variable with its token or ...PASSWORD"
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"port (default {DEFAULT_PORT}; 0: any free one, printed)"
    )
    parser.add_argument("--keep", type=int, metavar="N", help="ended requests that stay on the screen (default 12)")
    parser.add_argument("--headless", action="store_true", help="lines for logs instead of a screen")
    parser.add_argument("--json", action="store_true", help="no screen: one JSON object per event")
    screen_options(parser)
    return parser


def wrap_parser() -> Parser:
    parser = _between("wrap", "Run a program with its base URL set to a proxy, and say what it asked and got.")
    parser.add_argument("--json", metavar="FILE", help="write every event there, one JSON object per line")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the program and its arguments")
    return parser
