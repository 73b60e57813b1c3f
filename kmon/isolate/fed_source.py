"""Feeds a race with the rounds of an experiment, wherever the race runs: in this process or in the engine process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from kmon.engine.api import Command, EventSource, Host
from kmon.isolate.rounds import Feeder
from kmon.stream.events import Event, RaceEnded, RunEnded


class FedSource:
    """An ``EventSource`` that sends the next round when the last is over. The experiment has seen a batch before it
    is yielded, so that whoever reads it finds the experiment up to date."""

    def __init__(self, source: EventSource, experiment: Feeder) -> None:
        self._source, self._experiment = source, experiment

    async def batches(self) -> AsyncIterator[Sequence[Event]]:
        await self._feed()
        async for batch in self._source.batches():
            for event in batch:
                if isinstance(event, RunEnded):
                    self._experiment.add(event)
                elif isinstance(event, RaceEnded):
                    self._experiment.stopped = True
            yield batch
            await self._feed()

    async def _feed(self) -> None:
        if self._experiment.stopped:
            return
        if rows := self._experiment.next_round():
            await self._source.command(Command("round", rows=rows))
        elif self._experiment.over:
            await self._source.command(Command("enough"))

    async def command(self, command: Command) -> None:
        await self._source.command(command)

    async def close(self) -> None:
        self._experiment.stopped = True  # what is cancelled now must not call for another round
        await self._source.close()


class FedHost(FedSource):
    """The same for a host."""

    def __init__(self, hosted: Host, experiment: Feeder) -> None:
        super().__init__(hosted, experiment)
        self._hosted = hosted

    def start(self) -> None:
        self._hosted.start()

    async def interrupt(self) -> None:
        self._experiment.stopped = True
        await self._hosted.interrupt()
