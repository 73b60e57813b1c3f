"""The commands whose output for other programs is kept: each case runs kmon and returns what it printed, normalised.

Only what a user can start is used here, so the cases are the same whatever modules kmon is made of. The tables of
dialects and faults alone are asked what there is, so that a new dialect is in the cases by itself. A case is a function
of an empty folder that returns JSON values, one per line of its file in ``data/``.
"""

from __future__ import annotations

import http.client
import importlib
import json
import os
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from kmon.dialects.registry import http_dialects
from kmon.simulator.dialects.registry import server_dialect
from kmon.simulator.faults.registry import FAULTS
from tests.golden.normalise import Json, digest, race
from tests.golden.programs import Home, targets

Lines = Iterable[object]
FIXTURES = Path(__file__).parent / "fixtures"
AWS = {"AWS_ACCESS_KEY_ID": "AKIAGOLDEN", "AWS_SECRET_ACCESS_KEY": "golden", "AWS_REGION": "us-west-2"}
SIDES = tuple(side for entry in http_dialects() if (side := server_dialect(entry.name)) is not None)
"""The simulator's side of every dialect that goes over HTTP."""
TOKEN = "kmon-gateway"
"""What the simulated gateway wants to be told, by default."""
SPEED = "20"


# -- races on the simulator --------------------------------------------------------------------------------------------


def dialects(folder: Path) -> Lines:
    """A healthy answer in every dialect that goes over HTTP, with every delta."""
    quick = "moonshotai/Kimi-K2-Instruct-0905"  # one that does not think, so that the deltas are few
    return _raced(
        folder, [{"name": f"a-{side.name}", "dialect": side.name, "model": quick} for side in SIDES], deltas=True
    )


def tools(folder: Path) -> Lines:
    """One tool call, its result, and a chain of calls, in every dialect that carries tools."""
    asked = [{"name": f"t-{side.name}", "dialect": side.name} for side in SIDES if "tools" in side.traits]
    return _raced(folder, asked, "--scenario", "tool-call,tool-result,tool-chain")


def rounds(folder: Path) -> Lines:
    """Several rounds, a few runs open at once, on the embedded simulator."""
    done = Home(folder).run(
        "run", "--demo", "together", "groq", "--scenario", "minimal,code-tools", "--count", "2", "--concurrency", "3",
        "--speed", SPEED, "--profile", "smooth", "--json",
    )  # fmt: skip
    return [done.end, *race(done.json)]


ENDINGS = (
    "error-in-200", "error-first", "truncated-no-finish", "finish-without-done", "done-without-finish",
    "fin-mid-chunk", "content-length-short", "sized-body", "unframed-error", "malformed-frame",
    "rate-limited", "rate-limited:written=absent", "http-500", "overloaded", "unknown-model", "html-200",
    "json-200", "close-before-headers", "reset-before-headers", "not-http", "captive-redirect", "plain-text-type",
    "empty-answer", "only-reasoning", "usage-missing", "usage-wrong", "usage-unannounced", "usage-on-finish",
    "hidden-reasoning", "wrong-model", "model-alias:model=kimi-k2", "upstream-switched", "upstream-named",
    "duplicate-chunks", "reordered-chunks", "split-anywhere", "crlf", "multi-line-data", "repetition-loop",
    "one-word", "talks-about-errors", "talks-about-markers", "gzip-flushed", "no-close-notify",
)  # fmt: skip
"""Faults that end, so that nothing about them depends on time, of the first dialect."""
ENDINGS_OF_ALL = (
    "error-in-200", "truncated-no-finish", "finish-without-done", "rate-limited", "malformed-frame", "exception-frame",
    "crc-error", "half-frame",
)  # fmt: skip
"""The same of every other dialect, as far as it can have them."""


def endings(folder: Path) -> Lines:
    """Every fault of an answer's end, content or frames, by dialect."""
    return _raced(folder, _faulty_in_each(ENDINGS, ENDINGS_OF_ALL))


TOOL_FAULTS = (
    "tool-arguments-cut", "tool-arguments-invalid", "tool-arguments-misfit", "tool-arguments-spaced",
    "tool-not-offered", "tool-markers-leaked", "finish-mismatch", "stop-after-tool-call",
)  # fmt: skip


def tool_faults(folder: Path) -> Lines:
    """Every fault of a tool call."""
    return _raced(folder, [_faulty("chat", fault) for fault in TOOL_FAULTS], "--scenario", "tool-call")


SILENCES = (
    "no-headers", "headers-then-nothing", "hang-mid-stream", "stall:duration_s=100", "keepalives-only", "empty-deltas",
    "linger-after-done", "half-open",
)  # fmt: skip
"""Faults of silence. Where kmon waits for them, it waits so long that a busy machine changes nothing."""
SILENCES_OF_ALL = ("hang-mid-stream", "keepalives-only")


def silences(folder: Path) -> Lines:
    """Every kind of silence: stalls that end, and what ends by the limit of the attempt."""
    asked = _faulty_in_each(SILENCES, SILENCES_OF_ALL)
    return _raced(folder, asked, "--stall", "2.5", "--timeout", "8", counted=False)


def resets(folder: Path) -> Lines:
    """A connection that is reset: how much of what was sent before can still be read is the system's affair."""
    asked = [_faulty(side.name, "reset-mid-chunk") for side in SIDES]
    end, *events = _raced(folder, asked, counted=False)
    return [end, *_unsaid(events)]


def retries(folder: Path) -> Lines:
    """Retries with a delay the server asked for, one after a reset, and a fallback after a time limit."""
    done = Home(folder).run(
        "run", "--demo", "together", "fireworks", "groq", "--profile", "retries", "--scenario", "minimal",
        "--retries", "2", "--retry-base", "0.1", "--first-token-timeout", "2", "--fallback", "deepinfra",
        "--speed", "5", "--stall", "20", "--json",
    )  # fmt: skip
    return [done.end, *race(done.json, counted=False)]


def verdict(folder: Path) -> Lines:
    """An experiment in which one target fails with tools only, and what that proves."""
    done = Home(folder).run(
        "test", "--demo", "together", "groq", "--profile", "seed-000", "--scenario", "tool-result,minimal",
        "--count", "8", "--seed", "3", "--no-nonce", "--until-proven", "--pass-rate", "0.9", "--speed", SPEED,
        "--stall", "20", "--json",
    )  # fmt: skip
    return [done.end, *race(_judged(done.json))]


def verdict_of_failures(folder: Path) -> Lines:
    """An experiment with a broken threshold: half of the targets are cut off each time."""
    home = Home(folder)
    with home.serving("sim", "--speed", SPEED) as simulator:
        home.configured(targets(simulator.port, [{"name": "good"}, {"name": "cut", "fault": "truncated-no-finish"}]))
        done = home.run("test", "good", "cut", "--scenario", "minimal", "--count", "8", "--no-nonce",
                        "--fail-under", "0.9", "--stall", "20", "--json")  # fmt: skip
    return [done.end, *race(_judged(done.json))]


def _judged(events: Sequence[Json]) -> list[Json]:
    """Without what the runs tell while they go on: other cases have that."""
    return [event for event in events if event["type"] in JUDGED]


JUDGED = ("race_started", "target_health", "alert", "test_outcome", "verdict", "race_ended")


def _faulty_in_each(of_the_first: Sequence[str], of_all: Sequence[str]) -> list[dict[str, str]]:
    """Targets with these faults: the first dialect has the longer list, each other one what it can have of the rest."""
    first, *others = SIDES
    asked = [_faulty(first.name, fault) for fault in of_the_first]
    return asked + [_faulty(side.name, one) for side in others for one in of_all if not FAULTS[one]().refusal(side)]


def _faulty(dialect: str, fault: str) -> dict[str, str]:
    name = re.sub(r"[^a-z0-9-]", "-", f"{dialect[:4]}-{fault}")
    return {"name": name, "dialect": dialect, "fault": fault}


def _raced(
    folder: Path, asked: Sequence[Mapping[str, str]], *options: str, deltas: bool = False, counted: bool = True
) -> list[Json]:
    """A race of targets at a simulator of its own. A silence is a stall after 20 s unless ``options`` say otherwise."""
    home = Home(folder, **AWS)
    with home.serving("sim", "--speed", SPEED) as simulator:
        home.configured(targets(simulator.port, asked))
        given = options if "--scenario" in options else ("--scenario", "minimal", *options)
        given = given if "--stall" in given else ("--stall", "20", *given)
        done = home.run("run", *(one["name"] for one in asked), *given, "--json")
    return [done.end, *race(done.json, deltas=deltas, counted=counted)]


# -- a gateway ---------------------------------------------------------------------------------------------------------


def gateway(folder: Path) -> Lines:
    """A run at a gateway of each protocol, and what a watch of the same gateway tells."""
    lines: list[object] = []
    for protocol in ("3", "4"):
        home = Home(folder, OPENCLAW_GATEWAY_TOKEN=TOKEN)
        with home.serving("sim", "--gateway", "--protocol", protocol, "--speed", SPEED) as simulator:
            url = f"ws://127.0.0.1:{simulator.port}"
            with home.serving("gateway", url, "--json", "--stall", "20") as watch:
                watch.has(r'"type":"(race_started)"')
                done = home.run("run", "--base-url", url, "--dialect", "openclaw", "--scenario", "minimal",
                                "--stall", "20", "--json")  # fmt: skip
                watch.has(r'"type":"(run_ended)"')
                watched = watch.stop()
        lines += [{"protocol": protocol}, done.end, *race(done.json, counted=False), *race(watched, counted=False)]
    return lines


def websocket(folder: Path) -> Lines:
    """A gateway listened to as a plain WebSocket for a while."""
    home = Home(folder)
    with home.serving("sim", "--gateway", "--speed", SPEED) as simulator:
        done = home.run("run", "--base-url", f"ws://127.0.0.1:{simulator.port}", "--dialect", "ws",
                        "--timeout", "4", "--stall", "20", "--json")  # fmt: skip
    return [done.end, *race(done.json, counted=False)]


# -- a proxy -----------------------------------------------------------------------------------------------------------

CHAT = {"model": "moonshotai/Kimi-K2.6", "stream": True, "messages": [{"role": "user", "content": "Say hi."}]}
WHOLE = {**CHAT, "stream": False}
MESSAGES = {**CHAT, "max_tokens": 40}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": "Say hi."}]}], "inferenceConfig": {"maxTokens": 20}}
VERSION = {"anthropic-version": "2023-06-01"}
EXCHANGES: Sequence[tuple[str, Mapping[str, object], Mapping[str, str]]] = (
    ("/one/v1/chat/completions", CHAT, {}),
    ("/two/v1/messages", MESSAGES, VERSION),
    ("/three/v1/inference/moonshotai/Kimi-K2.6", {"input": "Say hi.", "stream": True}, {}),
    ("/four/model/moonshotai%2FKimi-K2.6/converse-stream", CONVERSE, {}),
    ("/five/v1/chat/completions", WHOLE, {}),
    ("/six/v1/chat/completions", CHAT, {"x-kmon-fault": "truncated-no-finish"}),
    ("/seven/v1/chat/completions", CHAT, {"x-kmon-fault": "error-in-200"}),
    ("/eight/v1/chat/completions", CHAT, {"x-kmon-fault": "rate-limited"}),
    ("/nine/v1/messages", MESSAGES, {**VERSION, "x-kmon-fault": "error-in-200"}),
    ("/ten/v1/chat/completions", CHAT, {"x-kmon-fault": "fin-mid-chunk"}),
)


def proxy(folder: Path) -> Lines:
    """Exchanges of every dialect through a proxy, healthy and broken ones, one after the other."""
    home = Home(folder)
    with home.serving("sim", "--speed", SPEED) as simulator:
        upstream = f"http://127.0.0.1:{simulator.port}"
        with home.serving("proxy", "--to", upstream, "--port", "0", "--stall", "20", "--json") as relay:
            port = int(relay.has(r"listening on http://127\.0\.0\.1:(\d+)")[0])
            for number, (path, body, headers) in enumerate(EXCHANGES, start=1):
                _exchange(port, path, body, headers)
                relay.has(r'"type":"(run_ended)"', number)
            events = relay.stop()
    return [{"exit": relay.code}, *race(events)]


def proxied_websocket(folder: Path) -> Lines:
    """A gateway's WebSocket through a proxy, with kmon itself as the client; what is said in it is random."""
    home = Home(folder, OPENCLAW_GATEWAY_TOKEN=TOKEN)
    with home.serving("sim", "--gateway", "--speed", SPEED) as simulator:
        upstream = f"http://127.0.0.1:{simulator.port}"
        with home.serving("proxy", "--to", upstream, "--port", "0", "--stall", "20", "--json") as relay:
            port = relay.has(r"listening on http://127\.0\.0\.1:(\d+)")[0]
            done = home.run("run", "--base-url", f"ws://127.0.0.1:{port}", "--dialect", "openclaw",
                            "--scenario", "minimal", "--stall", "20", "--json")  # fmt: skip
            relay.has(r'"type":"(run_ended)"')
            events = relay.stop()
    return [{"exit": relay.code, "client": done.code}, *race(_unsaid(events), counted=False)]


def _unsaid(events: Sequence[Json]) -> list[Json]:
    """Without the words of the provider."""
    return [{key: "" if key in ("text", "reasoning", "raw") else event[key] for key in event} for event in events]


def _exchange(port: int, path: str, body: Mapping[str, object], headers: Mapping[str, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    sent = {"Content-Type": "application/json", "User-Agent": "golden/1", **headers}
    try:
        connection.request("POST", path, json.dumps(body), sent)
        connection.getresponse().read()
    except (http.client.IncompleteRead, ConnectionError):
        pass  # what a broken answer looks like here
    finally:
        connection.close()


# -- recordings --------------------------------------------------------------------------------------------------------


def decode(folder: Path) -> Lines:
    """Bodies, cassettes and a gateway's frames of every dialect that ``kmon decode`` reads."""
    for fixture in FIXTURES.iterdir():
        (folder / fixture.name).write_bytes(fixture.read_bytes())
    names = sorted(path.name for path in FIXTURES.iterdir())
    done = Home(folder).run("decode", *names, "--json")
    return [done.end, *done.json]


def decode_corpus(folder: Path) -> Lines:
    """Digests of what ``kmon decode`` says of every file of the corpus; its names are digests, too."""
    corpus = Path(os.environ["KMON_CORPUS"])
    rows = (corpus / "MANIFEST.tsv").read_text().splitlines()
    return _decoded(folder, corpus, {row.split("\t")[0] for row in rows})


def decode_gateway_recordings(folder: Path) -> Lines:
    """The same for the recordings of real gateways."""
    recordings = Path(os.environ["KMON_GATEWAY_RECORDINGS"])
    return _decoded(folder, recordings, {file.name for file in recordings.glob("*.jsonl")})


NEEDS = {"decode-corpus": "KMON_CORPUS", "decode-gateway-recordings": "KMON_GATEWAY_RECORDINGS"}
"""The environment variable that names the folder a case reads; without it the case cannot run."""


def _decoded(folder: Path, of: Path, names: set[str]) -> Lines:
    files = sorted(name for name in names if (of / name).is_file())
    done = Home(folder).run("decode", *(str(of / name) for name in files), "--json")
    found: dict[str, list[Json]] = {name: [] for name in files}
    for decoded in done.json:
        found[str(Path(decoded["file"]).relative_to(of))].append({**decoded, "file": ""})
    return [{"exit": done.code}, *({digest(name): digest(list(found[name]))} for name in files)]


# -- what there is -----------------------------------------------------------------------------------------------------


def catalogue(folder: Path) -> Lines:
    """Targets, signatures, scenarios and settings as they are listed."""
    home = Home(folder)
    lines: list[object] = []
    for command in (("targets", "--json"), ("signatures",), ("signatures", "--numbers"), ("scenarios",), ("config",)):
        done = home.run(*command)
        words = (line.split()[0] for line in done.stdout.splitlines() if line and not line.startswith(" "))
        lines += [{"command": " ".join(command), **done.end}, *(done.json if "--json" in command else words)]
    return lines


def doctor(folder: Path) -> Lines:
    """The shape of what ``kmon doctor`` and ``kmon targets --check`` say of the simulator, and of a bench's report."""
    home = Home(folder)
    with home.serving("sim", "--speed", SPEED) as simulator:
        home.configured(targets(simulator.port, [{"name": "here"}]))
        examined = home.run("doctor", "here", "--json")
        checked = home.run("targets", "here", "--check", "--json")
        home.run("run", "here", "--scenario", "minimal")
        report = home.run("sim", "--report", f"http://127.0.0.1:{simulator.port}", "--json")
    lines: list[object] = []
    for done in (examined, checked, report):
        lines += [done.end, *map(_shape, done.json)]
    return lines


def _shape(found: object) -> object:
    """Keys in their order, and the type of every value."""
    if isinstance(found, dict):
        return {key: _shape(member) for key, member in found.items()}
    if isinstance(found, list):
        return [_shape(found[0])] if found else []
    return "number" if isinstance(found, int | float) and not isinstance(found, bool) else type(found).__name__


COMMANDS = (
    "", "run", "test", "gateway", "targets", "doctor", "scenarios", "decode", "replay", "proxy", "wrap", "sim",
    "signatures", "explain", "selftest", "config", "trust",
)  # fmt: skip


def flags(folder: Path) -> Lines:
    """Every flag of every command, with what it takes, and the names of positional arguments."""
    home = Home(folder)
    return [_flags(command, home.run(*command.split(), "--help", COLUMNS="300").stdout) for command in COMMANDS]


def _flags(command: str, text: str) -> Json:
    usage = " ".join(text.partition("\n\n")[0].split())
    return {"command": command, "usage": sorted(re.findall(r"\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]", usage)),
            "flags": sorted(set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text)))}  # fmt: skip


def keys(_: Path) -> Lines:
    """Every key of every screen and what it does in words, as the footer and the help screen have it."""
    bound: dict[str, set[str]] = {}
    package = importlib.import_module("kmon.tui")
    for found in pkgutil.iter_modules(package.__path__, "kmon.tui."):
        for screen in vars(importlib.import_module(found.name)).values():
            ours = isinstance(screen, type) and screen.__module__.startswith("kmon.")
            for binding in vars(screen).get("BINDINGS", ()) if ours else ():
                for key in binding.key.split(","):
                    bound.setdefault(key, set()).add(binding.description)
    return [{"key": key, "does": sorted(words)} for key, words in sorted(bound.items())]


_ALL = (
    dialects, tools, rounds, endings, tool_faults, silences, resets, retries, verdict, verdict_of_failures, gateway,
    websocket, proxy, proxied_websocket, decode, decode_corpus, decode_gateway_recordings, catalogue, doctor, flags,
    keys,
)  # fmt: skip
CASES: Mapping[str, Callable[[Path], Lines]] = {case.__name__.replace("_", "-"): case for case in _ALL}
"""Every case by the name of its file in ``data/``."""
