"""What one run of kmon shares with every other of the same seed: numbers that depend on time become their type.

Replaced: stamps (``*_ns``), measured durations (``*_ms``, ``*_s``) and what is computed from them, ports, random ids,
version numbers, and times inside sentences. Left out: what kmon observed of its own machine (``blame`` events, the part
of an evidence line that tells the socket's state). All else is kept: states, signatures, texts, usage, finish reasons,
and the keys of every type of event in the order in which they were printed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

Json = dict[str, Any]

CONFIGURED = ("stall_ms", "timeout_ms", "threshold_ms", "policy", "retry_after_s", "retry_after_ms")
"""Durations that were asked for, not measured."""
OF_TIMES = ("seconds", "ttft_p", "ttft_p_holm")
"""Figures that are computed from measured durations."""
OF_THE_MACHINE = ("blame", "witness", "latency")
"""Objects whose values depend on the load of the machine: only their keys are compared."""
TEXTS = ("text", "reasoning", "arguments", "raw", "frame")
"""What a provider said: written as it is up to so many characters, of a longer one its length and digest."""
LONG_TEXT = 100
TIME = "<time>"
COUNTS = ("chunks", "keepalives", "chunks_per_stream")
_SOCKET_STATE = re.compile(r"(, |; in its longest silence: )(socket (open|closed)|bytes unread).*$")
_REPLACED = (
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\bkmon-[0-9a-f]{8,}\b"), "kmon-<id>"),
    (re.compile(r"\brun [0-9a-f]{4}\b"), "run <id>"),
    (re.compile(r"\b1[0-9]{12}\b"), "<epoch ms>"),
    (re.compile(r"\bplan [0-9a-f]{12}\b"), "plan <digest>"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s|min|h)\b"), r"# \2"),
    (re.compile(r"(aiobotocore|Botocore|kmon)([/#])[0-9.]+"), r"\1\2VERSION"),
)


def sentence(text: str) -> str:
    """``text`` without times, ports and what it tells of the socket."""
    text = _SOCKET_STATE.sub("", text)
    for pattern, word in _REPLACED:
        text = pattern.sub(word, text)
    return text


def value(found: Any, key: str = "") -> Any:  # noqa: ANN401 - JSON
    """``found``, the value of ``key``, with all that depends on time replaced."""
    if key in OF_THE_MACHINE and found is not None:
        return " ".join(found)
    if isinstance(found, bool) or found is None or key in CONFIGURED:
        return found
    if isinstance(found, dict):
        return {name: value(member, name) for name, member in found.items()}
    if isinstance(found, list):
        return [value(member, key) for member in found]
    if isinstance(found, int | float) and (key.endswith(("_ns", "_ms", "_s")) or key in OF_TIMES):
        return TIME
    if key == "gateway_run":
        return "<id>"
    if isinstance(found, str):
        found = sentence(found)
        return f"{len(found)} characters {digest(found)}" if key in TEXTS and len(found) > LONG_TEXT else found
    return found


def digest(what: object) -> str:
    """Twelve hex digits of ``what``, a JSON value or a text."""
    text = what if isinstance(what, str) else json.dumps(what, ensure_ascii=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def race(events: Sequence[Json], *, deltas: bool = False, counted: bool = True) -> list[Json]:
    """The events of a race: those of the race, then those of each run in the order in which the runs were queued.

    Between runs the order depends on time, within one it does not. ``deltas`` writes every delta; otherwise their
    kinds and digest. Without ``counted`` the number of chunks depends on time, as of an answer that goes on until it
    is given up or of a gateway that gathers what comes fast: counts, keep-alives and busy lines are left out. The last
    lines are the keys of every type of event.
    """
    events = [value(event) for event in events if event["type"] != "blame"]
    if not counted:
        events = [
            _uncounted(event) for event in events if event["type"] != "claim" and event.get("kind") != "keepalive"
        ]
    health = {event["target"]: event for event in events if event["type"] == "target_health"}  # the last tells it all
    runs: dict[str, list[Json]] = {}
    for event in events:
        if "run" in event:
            runs.setdefault(event["run"], []).append(event)
    lines = [event for event in events if "run" not in event and event["type"] != "target_health"]
    lines += [health[name] for name in sorted(health)]
    for name in sorted(runs, key=_number):
        lines += _run(runs[name], deltas=deltas, counted=counted)
    return [*map(_timeless, lines), *_keys(events)]


def _number(run: str) -> list[int]:
    """``r2.10`` comes after ``r2.9``."""
    return [int(part) for part in re.findall(r"\d+", run)]


def _timeless(event: Json) -> Json:
    return {key: found for key, found in event.items() if found != TIME and key not in OF_THE_MACHINE}


def _keys(events: Sequence[Json]) -> list[Json]:
    """For every type of event the orders in which its keys were printed."""
    found: dict[str, set[str]] = {}
    for event in events:
        keys = (f"{key}({event[key]})" if key in OF_THE_MACHINE else key for key in event)
        found.setdefault(event["type"], set()).add(" ".join(keys))
    return [{"keys of": kind, "are": sorted(orders)} for kind, orders in sorted(found.items())]


def _run(events: Sequence[Json], *, deltas: bool, counted: bool) -> list[Json]:
    """One run: its events, the phases of an attempt in one line, without what its end tells again, and its deltas."""
    pieces = [event for event in events if event["type"] == "delta"]
    told: list[Json] = []
    for event in events:
        if event["type"] == "phase":
            if not told or "phases" not in told[-1]:
                told.append({"phases": {}})
            told[-1]["phases"][event["phase"]] = event.get("detail", "")
        elif event["type"] == "run_ended" and told:
            told[-1] = {key: found for key, found in told[-1].items() if key == "type" or event.get(key) != found}
            told.append(event)
        elif event["type"] != "delta":
            told.append(event)
    if not counted:
        return [*told, {"run": events[0]["run"], "deltas": sorted({piece["kind"] for piece in pieces})}]
    if deltas:
        return [*told, *pieces]
    counts = dict(sorted(Counter(piece["kind"] for piece in pieces).items()))
    return [*told, {"run": events[0]["run"], "deltas": counts, "digest": digest(pieces)}]


def _uncounted(event: Json) -> Json:
    kept = {key: found for key, found in event.items() if key not in COUNTS}
    if "evidence" in kept:
        kept["evidence"] = re.sub(r"(, )?\b\d+ (empty |)(chunk|keep-alive)s?\b", "", kept["evidence"])
    return kept


def lines(found: Iterable[object]) -> str:
    """One JSON value per line."""
    return "".join(json.dumps(one, ensure_ascii=True, separators=(",", ":")) + "\n" for one in found)
