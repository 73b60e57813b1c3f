"""The options of ``kmon gateway``."""

from __future__ import annotations

from kmon.arguments.parser import Parser, command_parser
from kmon.arguments.racing import screen_options


def gateway_parser() -> Parser:
    parser = command_parser(
        "gateway", "Watch every run of every session of a gateway. Nothing is sent but reads (operator.read)."
    )
    parser.add_argument("url", nargs="?", metavar="URL", help="ws:// or wss:// (default: that of the target gateway)")
    parser.add_argument(
        "--api-key-env",
        metavar="NAME",
        help="environment variable with the token, or the password if its name ends in PASSWORD "
        "(default OPENCLAW_GATEWAY_TOKEN, then OPENCLAW_GATEWAY_PASSWORD)",
    )
    parser.add_argument("--for", dest="watch_s", type=float, metavar="S", help="end the watch after S seconds")
    parser.add_argument("--stall", dest="stall_s", type=float, metavar="S", help="silence that is a stall (default 5)")
    parser.add_argument(
        "--connect-timeout", dest="connect_timeout_s", type=float, metavar="S", help="limit of connecting (default 10)"
    )
    parser.add_argument("--json", action="store_true", help="no screen: one JSON object per event")
    screen_options(parser)
    return parser
