"""Ordinary clients on the torture bench: what they say of ten faults, beside what the bench saw them do.

``python -m tests.bench.torture``: openai-python, aiohttp, curl (where it is installed) and a client that never reads,
each request in a process of its own, two at a time. Time is compressed: the streams 20 times, the clients' timeouts to
2 s. Takes less than a minute.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx

from kmon.simulator.bench_report import table
from kmon.simulator.embedded import Embedded
from tests.bench.torture_clients import ASKED, FAULT_HEADER

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
TIMEOUT_S = 2.0
GIVE_UP_S = 8.0
"""After this a client that has not come back is ended from outside: it hangs."""
AT_ONCE = 4


class Verdict(NamedTuple):
    client: str
    fault: str
    said: str


def verdict(client: str, base_url: str, fault: str, timeout_s: float = TIMEOUT_S) -> Verdict:
    """Run one client once, and say what a program that uses it would see."""
    command = _curl(base_url, fault) if client == "curl" else [sys.executable, "-m", "tests.bench.torture_clients"]
    if client != "curl":
        command += [client, base_url, fault, str(timeout_s)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=GIVE_UP_S)
    except subprocess.TimeoutExpired:
        return Verdict(client, fault, f"HANGS: ended from outside after {GIVE_UP_S:g} s")
    said = ended.stdout.strip().splitlines()[-1:] or ended.stderr.strip().splitlines()[-1:] or ["nothing"]
    return Verdict(client, fault, f"exit {ended.returncode}, {said[0]}" if client == "curl" else said[0])


def _curl(base_url: str, fault: str) -> list[str]:
    """curl has no timeout of its own, and is given none."""
    told = "status %{http_code}, %{size_download} bytes, %{time_total} s"
    return ["curl", "-sN", "-o", "/dev/null", "-w", told, "-H", f"{FAULT_HEADER}: {fault}",
            "-H", "content-type: application/json", "-d", json.dumps(ASKED), f"{base_url}/chat/completions"]  # fmt: skip


def verdicts(simulator: Embedded, clients: tuple[str, ...], faults: tuple[str, ...]) -> Iterator[Verdict]:
    """Each client on each fault, and in each place that ``simulator`` has open."""
    asked = [(client, simulator.base_url(client), fault) for fault in faults for client in clients]
    asked += [(c, f"{origin}/v1", f"({place})") for place, origin in simulator.origins.items() for c in clients]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda one: verdict(*one), asked)


def ledger(simulator: Embedded) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{simulator.origin}/_kmon/ledger", trust_env=False).json()
    return found


def main() -> int:
    clients = tuple(client for client in CLIENTS if client != "curl" or shutil.which("curl"))
    with Embedded.running(speed=SPEED, places=PLACES) as simulator:
        print("what the client says")
        for found in verdicts(simulator, clients, FAULTS):
            print(f"  {found.client.ljust(8)} {found.fault.ljust(30)} {found.said}", flush=True)
        found = verdict(READS_NOTHING, simulator.base_url("local"), "padded-stream")
        print(f"  {found.client} {found.fault}: {found.said}")
        print("\nwhat the bench saw")
        print("\n".join(f"  {line}" for line in table(ledger(simulator))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
