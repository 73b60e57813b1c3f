"""``kmon sim --report``: asks a running bench what its clients did, and prints the table."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import httpx
import msgspec

from kmon.errors import UsageError
from kmon.simulator.bench_report import lines_of, table
from kmon.simulator.server import LEDGER_PATH

TIMEOUT_S = 5.0


def print_report(*, url: str | None, port: int, as_json: bool) -> int:
    """Print the report of the bench at ``url``, or on loopback at ``port``. Raises UsageError when none is there."""
    if url is None:
        raise UsageError("--json needs --report; without it the simulator prints lines")
    found = ledger_at(_address(url, port))
    try:
        said = [msgspec.json.encode(line).decode() for line in lines_of(found)] if as_json else table(found)
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"what answers at {_address(url, port)} is no kmon sim of this version") from None
    if said:
        print("\n".join(said))
    return 0


def _address(url: str, port: int) -> str:
    if not url and not port:
        raise UsageError("--report needs --port N or a URL: which bench? 'kmon sim' prints its own when it starts")
    try:
        parts = urlsplit(url or f"http://127.0.0.1:{port}")
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"--report {url[:200]!r} is no URL; write it as http://127.0.0.1:8080")
    return f"{parts.scheme}://{parts.netloc}{LEDGER_PATH}"


def ledger_at(url: str) -> dict[str, object]:
    """The ledger of the bench at ``url``. Raises UsageError."""
    try:
        answer = httpx.get(url, timeout=TIMEOUT_S, trust_env=False)
        found = answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UsageError(f"no bench answers at {url} ({error}); is 'kmon sim' running there?") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        found = None
    if not isinstance(found, dict) or "requests" not in found:
        raise UsageError(f"what answers at {url} is no kmon sim")
    return found
