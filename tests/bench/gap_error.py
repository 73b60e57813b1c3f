"""How wrong is a gap that kmon measures while its screen is drawing? Compared with a server's own send times.

    python -m tests.bench.gap_error --url http://127.0.0.1:8900 --log truth.jsonl --streams 16

Needs a server on loopback that takes ``x-request-id``, streams ``n600-r50`` (600 chunks, 50 per second) and at
``GET /admin/flush`` appends ``{"rid": id, "t": [send times, CLOCK_MONOTONIC ns]}`` lines to its log. Draws on the
terminal it is run in; prints the error of the gaps in ms, per percentile, when it is done.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path

from kmon.engine.api import Command, EventSource
from kmon.engine.plan import Keys, RacePlan, Row
from kmon.engine.process import EngineProcess
from kmon.model import PromptMessage, Scenario, Target
from kmon.retry.policy import Policy
from kmon.stream.events import DeltaArrived, Event, RaceEnded
from kmon.tui.app import KmonApp
from kmon.tui.options import ScreenOptions
from kmon.tui.themes import choose, load_themes

WARM_UP_CHUNKS = 20
ASK = Scenario(name="gaps", messages=(PromptMessage(role="user", content="go"),))


class Listening:
    """A source that notes every chunk's stamp on its way to the screen, and leaves when the race has ended."""

    def __init__(self, source: EventSource, stamps: dict[str, list[int]], app: KmonApp) -> None:
        self._source, self._stamps, self._app = source, stamps, app

    async def batches(self) -> AsyncIterator[Sequence[Event]]:
        async for batch in self._source.batches():
            for event in batch:
                if isinstance(event, DeltaArrived) and event.chunk:
                    self._stamps.setdefault(event.run, []).append(event.t_ns)
            yield batch
            if any(isinstance(event, RaceEnded) for event in batch):
                asyncio.get_running_loop().call_later(0.5, self._app.exit)

    async def command(self, command: Command) -> None:
        await self._source.command(command)

    async def close(self) -> None:
        await self._source.close()


def measured(url: str, streams: int) -> dict[str, list[int]]:
    """Arrival stamps in ns, per stream id, of a race drawn on this terminal."""
    rows = tuple(
        Row(
            Target(
                name=f"s{i}",
                provider="truth",
                model="n600-r50",
                base_url=f"{url}/v1",
                headers={"x-request-id": f"s{i}"},
                simulated=True,
            ),
            ASK,
        )
        for i in range(streams)
    )
    plan = RacePlan(rows=rows, policy=Policy(timeout_s=120), simulated=True)
    stamps: dict[str, list[int]] = {}

    async def source() -> EventSource:
        return Listening(await EngineProcess.start(plan, Keys({})), stamps, app)

    themes = load_themes([])
    app = KmonApp(ScreenOptions(plan=plan, open_source=source), themes, choose(themes, "kmon-dark"))
    app.run()
    return {f"s{int(run.rpartition('.')[2]) - 1}": times for run, times in stamps.items()}


def errors_ms(truth: dict[str, list[int]], arrived: dict[str, list[int]]) -> list[float]:
    """|gap measured - gap sent| in ms for every pair of chunks after the warm-up, sorted."""
    found = []
    for stream, times in arrived.items():
        pairs = list(zip(times, truth[stream], strict=False))[WARM_UP_CHUNKS:]
        found += [abs((b[0] - a[0]) - (b[1] - a[1])) / 1e6 for a, b in pairwise(pairs)]
    return sorted(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--streams", type=int, default=16)
    given = parser.parse_args()
    arrived = measured(given.url, given.streams)
    urllib.request.urlopen(f"{given.url}/admin/flush").read()
    lines = [json.loads(line) for line in given.log.read_text().splitlines()]
    errors = errors_ms({line["rid"]: line["t"] for line in lines}, arrived)
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    figures = (f"{name} {errors[min(len(errors) - 1, int(len(errors) * share))]:.3f}" for name, share in shares.items())
    print(f"{len(arrived)} streams, {len(errors)} gaps, error in ms: {', '.join(figures)}")


if __name__ == "__main__":
    main()
