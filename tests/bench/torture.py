"""Ordinary clients on the torture bench: what they say of each fault, beside what the bench saw them do.

``python -m tests.bench.torture``: openai-python, aiohttp, curl (where it is installed) and a client that never reads,
each a process of its own that asks everything at once. Time is compressed: the streams 20 times, the clients' timeouts
to 1.5 s. Takes about half a minute.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import httpx

from kmon.simulator.bench_report import table
from kmon.simulator.embedded import Embedded

FAULTS = (
    "smooth",
    "hang-mid-stream",
    "keepalives-only:every_s=10",  # twice a second after compression
    "no-headers",
    "truncated-no-finish",
    "error-in-200",
    "reset-mid-chunk",
    "fin-mid-chunk",
    "rate-limited:retry_after_s=1",
    "http-500",
    "linger-after-done",
    "html-200",
)
PLACES = ("refused", "black-hole", "mute")
CLIENTS = ("openai", "aiohttp", "curl")
READS_NOTHING = "reads-nothing"
SPEED = 20.0
TIMEOUT_S = 1.5
GIVE_UP_S = 9.0
"""After this a client that has not come back hangs: its own retries would be over by then."""
START_LIMIT_S = 60.0


def verdicts(
    client: str, asked: Sequence[tuple[str, str]], *, timeout_s: float = TIMEOUT_S, give_up_s: float = GIVE_UP_S
) -> list[str]:
    """What a program that uses ``client`` sees of each base URL and fault."""
    command = [sys.executable, "-m", "tests.bench.torture_clients", client, str(timeout_s), str(give_up_s)]
    ended = subprocess.run(
        command, input=json.dumps(asked), stdout=subprocess.PIPE, text=True, timeout=START_LIMIT_S + give_up_s
    )
    said: list[str] = json.loads(ended.stdout)
    return said


def ledger(simulator: Embedded) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{simulator.origin}/_kmon/ledger", trust_env=False).json()
    return found


def main() -> int:
    with Embedded(speed=SPEED, places=PLACES).running() as simulator:
        print("what the client says")
        for client in (client for client in CLIENTS if client != "curl" or shutil.which("curl")):
            asked = [(simulator.base_url(client), fault) for fault in FAULTS]
            asked += [(f"{origin}/v1", f"({place})") for place, origin in simulator.origins.items()]
            for (_, fault), said in zip(asked, verdicts(client, asked), strict=True):
                print(f"  {client.ljust(8)} {fault.ljust(30)} {said}", flush=True)
        (said,) = verdicts(READS_NOTHING, [(simulator.base_url("local"), "padded-stream")], timeout_s=2.5)
        print(f"  {READS_NOTHING} padded-stream: {said}")
        print("\nwhat the bench saw")
        print("\n".join(f"  {line}" for line in table(ledger(simulator))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
