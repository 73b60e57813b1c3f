"""What each client did with each fault, as a table made from the JSON of the request log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from msgspec import Struct

from kmon.dialects.text import clean
from kmon.simulator.client_behaviour import WORDS

CLIENT_LIMIT_CHARS = 40
HEADINGS = ("client", "fault", "asked", "median s", "retries", "what it did")


class ClientLine(Struct, frozen=True):
    """The requests of one client that got one fault. Retries are requests that repeat an earlier one."""

    client: str
    fault: str
    asked: int
    retries: int
    median_ms: float
    did: dict[str, int]
    """Counts by :data:`~kmon.simulator.client_behaviour.Did`, the most frequent first."""
    most_blocked_ms: float
    """The longest time in which bytes waited and the client took none."""


def lines_of(ledger: Mapping[str, Any]) -> list[ClientLine]:
    """A line per client and fault: clients by name, their faults in the order of their first request."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in ledger["requests"]:
        if row["fault"]:
            groups.setdefault((client_name(row["user_agent"]), row["fault"]), []).append(row)
    return [_line(client, fault, rows) for (client, fault), rows in sorted(groups.items(), key=_by_client)]


def _by_client(group: tuple[tuple[str, str], Sequence[Mapping[str, Any]]]) -> tuple[str, int]:
    (client, _), rows = group
    return client, rows[0]["id"]


def _line(client: str, fault: str, rows: Sequence[Mapping[str, Any]]) -> ClientLine:
    return ClientLine(
        client=client,
        fault=fault,
        asked=len(rows),
        retries=sum(row["tries"] > 1 for row in rows),
        median_ms=median(row["client"]["took_ms"] for row in rows),
        did=dict(Counter(row["client"]["did"] for row in rows).most_common()),
        most_blocked_ms=max(row["client"]["blocked_ms"] for row in rows),
    )


def client_name(user_agent: str) -> str:
    """A client by its User-Agent, cut to 40 characters, because those of the AWS SDKs are very long."""
    name = " ".join(clean(user_agent).split())
    return name if len(name) <= CLIENT_LIMIT_CHARS else name[: CLIENT_LIMIT_CHARS - 3] + "..."


def table(ledger: Mapping[str, Any]) -> list[str]:
    """The report as lines of text."""
    lines = lines_of(ledger)
    if not lines:
        return ["nobody has asked anything yet"]
    cells = [HEADINGS, *(_cells(line) for line in lines)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(HEADINGS) - 1)]
    written = ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]) for row in cells]
    connections = ledger["connections"]
    written.append(
        f"{ledger['requests_total']} requests on {connections['opened']} connections, {connections['open']} still open"
    )
    if ledger["requests_dropped"]:
        written.append(f"the oldest {ledger['requests_dropped']} requests are not in this table")
    return written


def _cells(line: ClientLine) -> tuple[str, ...]:
    did = ", ".join(
        f"{WORDS.get(name) or clean(name)}{f' ({times})' if line.asked > 1 else ''}" for name, times in line.did.items()
    )
    return (
        line.client or "(no User-Agent)",
        line.fault,
        str(line.asked),
        f"{line.median_ms / 1000:.1f}",
        str(line.retries),
        did,
    )
