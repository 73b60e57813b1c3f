"""How the simulated gateway behaves, and what a message may ask of it by a mark such as ``[[slow]]``."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from kmon.errors import UsageError
from kmon.openclaw.simulated.release import QUEUE_MODES, RELEASES, TICK_S, Protocol, QueueMode, Release
from kmon.simulator.prompt import NUDGE

Mechanism = Literal["a", "b", "c"]
MECHANISMS: tuple[Mechanism, ...] = ("a", "b", "c")
GatewayFault = Literal["starting", "stuck", "held", "tick-loss", "frozen", "seq-gap", "slow-consumer", "shutdown"]
GATEWAY_FAULTS: tuple[GatewayFault, ...] = (
    "starting", "stuck", "held", "tick-loss", "frozen", "seq-gap", "slow-consumer", "shutdown",
)  # fmt: skip

MODEL = "moonshotai/kimi-k2-0905"
TOKEN = "kmon-gateway"
SPEED_LIMIT = 10_000.0
_MARK = re.compile(r"\[\[([a-z0-9-]{1,40})\]\]")


class GatewayOptions(Struct, frozen=True):
    """One gateway. ``provider_url`` is the base URL its model calls go to.

    Secrets: ``token`` and ``password`` are what clients must present; either is enough where both are set.
    """

    provider_url: str
    protocol: Protocol = 3
    host: str = "127.0.0.1"
    port: int = 0
    token: str = TOKEN
    password: str = ""
    mechanism: Mechanism | None = None
    queue: QueueMode | None = None
    fault: GatewayFault | None = None
    model: str = MODEL
    speed: float = 1.0
    seed: int = 1
    tick_s: float = TICK_S

    @property
    def release(self) -> Release:
        return RELEASES[self.protocol]

    @property
    def queue_mode(self) -> QueueMode:
        """How a message is treated that comes while a run is open. Mechanism B is what ``collect`` does."""
        if self.queue is not None:
            return self.queue
        return "collect" if self.mechanism == "b" else self.release.default_queue

    @property
    def silent_retries(self) -> bool:
        return self.release.silent_retries or self.mechanism == "c"


def checked(options: GatewayOptions) -> GatewayOptions:
    """The same options. Raises UsageError for those that cannot be served."""
    if options.protocol not in RELEASES:
        raise UsageError(f"--protocol {options.protocol}: the gateway speaks 3 or 4")
    if options.mechanism is not None and options.mechanism not in MECHANISMS:
        raise UsageError(f"--mechanism {options.mechanism}: the mechanisms are {', '.join(MECHANISMS)}")
    if options.queue is not None and options.queue not in QUEUE_MODES:
        raise UsageError(f"--queue {options.queue}: the queue modes are {', '.join(QUEUE_MODES)}")
    if options.mechanism == "b" and options.queue not in (None, "collect", "followup"):
        raise UsageError(f"--mechanism b needs a queue that makes messages wait; leave --queue {options.queue} out")
    if options.fault is not None and options.fault not in GATEWAY_FAULTS:
        raise UsageError(f"--gateway-fault {options.fault}: the faults are {', '.join(GATEWAY_FAULTS)}")
    if not _is_http(options.provider_url):
        raise UsageError("--provider-url: must be http:// or https:// with a host, and a base URL such as ends in /v1")
    if not options.token and not options.password:
        raise UsageError("--token: must not be empty; clients authenticate with it")
    if not 0 < options.speed <= SPEED_LIMIT:
        raise UsageError(f"--speed {options.speed:g}: must be above 0 and at most {SPEED_LIMIT:g}")
    if not options.tick_s > 0:
        raise UsageError(f"--tick {options.tick_s:g}: must be above 0 seconds")
    if not 0 <= options.port <= 65_535:
        raise UsageError(f"--port {options.port}: a port is 0 to 65535; 0 takes any free one")
    return options


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no port, no IPv6 address
        return False


class Behaviour(Struct, frozen=True):
    """What happens to one run. ``provider_fault`` is a fault header's value; on the first attempt only if ``once``."""

    provider_fault: str = ""
    once: bool = False
    prompt: str = ""
    """What the provider is told instead of the message, where the mark stands for a task."""
    buffered: bool = False
    fault: GatewayFault | None = None
    tool_choice: str = ""


MARKS: dict[str, Behaviour] = {
    "normal": Behaviour("smooth"),
    "slow": Behaviour("slow-but-steady:factor=8"),
    "abort": Behaviour("slow-but-steady:factor=40"),
    "drip": Behaviour("slow-but-steady:factor=40"),
    "stall20": Behaviour("stall:after_tokens=5,duration_s=20"),
    "stall": Behaviour("stall:after_tokens=5,duration_s=20"),
    "burst": Behaviour("proxy-buffering:buffer_bytes=10000000"),
    "hang": Behaviour("hang-mid-stream:after_tokens=5"),
    "reset": Behaviour("reset-mid-chunk:after_tokens=5"),
    "flaky": Behaviour("reset-mid-chunk:after_tokens=5", once=True),
    "eof": Behaviour("truncated-no-finish:after_tokens=5"),
    "http500": Behaviour("http-500"),
    "empty": Behaviour("empty-answer"),
    "tool": Behaviour("smooth", prompt='Run exec in one step with command "sleep 4; echo tool-done-1".'),
    "multitool": Behaviour(
        "smooth",
        prompt="Run exec in 3 steps with commands "
        + ", ".join(f'"sleep 2; echo tool-done-{number}"' for number in (1, 2, 3)),
        tool_choice="required",
    ),
    "buffer": Behaviour(buffered=True),
    "ollama-normal": Behaviour("smooth", buffered=True),
    "ollama-slow": Behaviour("slow-but-steady:factor=8", buffered=True),
    **{fault: Behaviour(fault=fault) for fault in GATEWAY_FAULTS if fault != "starting"},
}
"""What the marks do. The names of the first ones are those of the recorded scenarios."""


MECHANISM_FAULTS: dict[Mechanism, str] = {
    "a": "slow-but-steady:factor=2",
    "b": "slow-first-token:duration_s=20",
    "c": "reset-mid-chunk:after_tokens=20",
}
"""What the provider does under each mechanism, unless a mark says otherwise or somebody just asks who is there.

In b it is mute for long: a piece of text would end the false idle.
"""


def behaviour(message: str, options: GatewayOptions) -> Behaviour:
    """What the first known mark of ``message`` asks for, under what the options ask of every run."""
    asked = next((MARKS[name] for name in _MARK.findall(message) if name in MARKS), Behaviour())
    fault, once = asked.provider_fault, asked.once
    if not fault and options.mechanism is not None and not NUDGE.search(message):
        fault, once = MECHANISM_FAULTS[options.mechanism], options.mechanism == "c"
    return Behaviour(
        fault,
        once,
        asked.prompt or _MARK.sub("", message).strip() or message,
        asked.buffered or options.mechanism == "a",
        asked.fault or options.fault,
        asked.tool_choice,
    )
