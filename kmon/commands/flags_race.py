"""Flags of the commands that race: targets, thresholds, policy, alerts, simulator."""

from __future__ import annotations

from kmon.commands.flags import Parser, add_setting, add_settings
from kmon.dialects.registry import names


def add_race(parser: Parser, *, rounds: int | None = None) -> None:
    """All of them. ``rounds`` is the default of a command that does not take it from the settings."""
    aim = parser.add_argument_group("what to race")
    aim.add_argument("targets", nargs="*", metavar="TARGET", help="a name of 'kmon targets', or provider/model")
    aim.add_argument("--scenario", action="append", metavar="NAME[,NAME]", help="what to ask (default: code)")
    add_setting(aim, "rounds", rounds)
    add_settings(aim, "concurrency")
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
    add_settings(limits, "stall_s", "timeout_s", "connect_timeout_s")
    policy = parser.add_argument_group(
        "retries, timeouts, fallback", "All off unless set: silence is reported, not ended. More of it in kmon.toml."
    )
    add_settings(policy, "retries", "retry_base_s", "header_timeout_s", "first_token_timeout_s", "idle_timeout_s")
    add_settings(policy, "fallback", "fallback_when")
    add_alerts(parser)
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


def add_alerts(parser: Parser) -> None:
    """When to alert, and what to set off."""
    alerts = parser.add_argument_group("alerts on a target's health (0 turns a rule off)")
    add_settings(alerts, "alert_success_rate", "alert_failures", "alert_chunks", "on_alert", "alert_webhook")
