"""What a watched pass through kmon proxy adds to every chunk: the same server, asked directly and through the proxy.

    python -m tests.bench.proxy_delay --url http://127.0.0.1:8900 --log truth.jsonl

Needs a server on loopback that takes ``x-request-id``, streams what the model name says (``n2000-r100``: 2000 chunks,
100 per second) and at ``GET /admin/flush`` appends ``{"rid": id, "t": [send times, CLOCK_MONOTONIC ns]}`` lines to its
log. The proxy runs in a process of its own. Direct and proxied streams take turns, and are read by the same reader
(kernel stamps); prints for both, in ms per percentile, how long after it was sent a chunk arrived, and the difference.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import ssl
import urllib.request
from pathlib import Path

from kmon.engine.plan import Keys
from kmon.engine.process import EngineProcess
from kmon.proxy.plan import ProxyPlan
from kmon.proxy.relay.upstream import Upstream
from kmon.stream.timeline import MS

WARM_UP_CHUNKS = 20
PERCENTILES = (50, 90, 99, 99.9)


async def stamps(origin: str, model: str, request_id: str) -> list[int]:
    """Arrival of every chunk of one stream, CLOCK_MONOTONIC ns."""
    upstream = Upstream.of(origin)
    stream, clock = await upstream.dial(ssl.create_default_context(), 5.0, lambda *_: None, lambda _: None)
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "go"}]})
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nx-request-id: {request_id}\r\n"
        f"Connection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    found: list[int] = []
    try:
        await stream.write((head + body).encode())
        while data := await stream.read(65_536):
            found += [clock.last_read_ns] * data.count(b"data: {")
            if b"[DONE]" in data:
                break
    finally:
        await stream.aclose()
    return found


async def measured(url: str, model: str, streams: int, rounds: int) -> dict[str, list[int]]:
    """Arrivals by request id, ``direct-*`` and ``proxied-*``."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    engine = await EngineProcess.start(ProxyPlan(upstream="bench", base_url=url, port=port), Keys({}))

    async def read_events() -> None:
        async for _ in engine.batches():
            pass

    reading = asyncio.create_task(read_events())
    found: dict[str, list[int]] = {}
    try:
        await _listening(port)
        for number in range(rounds):
            for way, origin in (("direct", url), ("proxied", f"http://127.0.0.1:{port}")):
                names = [f"{way}-{number}-{i}" for i in range(streams)]
                for name, arrived in zip(
                    names, await asyncio.gather(*(stamps(origin, model, name) for name in names)), strict=True
                ):
                    found[name] = arrived
    finally:
        await engine.close()
        await reading
    return found


async def _listening(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)


def delays(found: dict[str, list[int]], sent: dict[str, list[int]], way: str) -> list[float]:
    """How long each chunk was on its way, in ms, sorted; the first ones of every stream are left out."""
    out: list[float] = []
    for name, arrived in found.items():
        if name.startswith(way):
            pairs = list(zip(sent[name], arrived, strict=False))[WARM_UP_CHUNKS:]
            out += [(at - by) / MS for by, at in pairs]
    return sorted(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8900")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--model", default="n600-r100")
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found = asyncio.run(measured(options.url, options.model, options.streams, options.rounds))
    urllib.request.urlopen(f"{options.url}/admin/flush").read()
    sent = {row["rid"]: row["t"] for row in map(json.loads, options.log.read_text().splitlines())}
    direct, proxied = delays(found, sent, "direct"), delays(found, sent, "proxied")
    print(f"{len(direct)} chunks directly, {len(proxied)} through the proxy; ms from send to arrival")
    print(f"{'':>6} {'direct':>8} {'proxied':>8} {'added':>8}")
    for percent in PERCENTILES:
        one, other = (values[min(len(values) - 1, int(len(values) * percent / 100))] for values in (direct, proxied))
        print(f"p{percent:<5} {one:8.3f} {other:8.3f} {other - one:8.3f}")


if __name__ == "__main__":
    main()
