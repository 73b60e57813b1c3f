"""The names that one recorded exchange gets: from decode, in a replay, and in a run against a server with its bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from kmon.catalog.credential import Credential
from kmon.findings.recorded import decode
from kmon.model import Scenario, Target
from kmon.probe.attempt import Conversation
from kmon.probe.http_attempt import HttpAttempt
from kmon.probe.limits import Limits
from kmon.probe.recorder import AttemptId
from kmon.probe.send import Shared
from kmon.recording import Interaction
from kmon.simulator import profile
from kmon.simulator.replay import replay_scenario, replay_scripts, replay_target, replayed
from kmon.simulator.server import Simulator

AT_ONCE = 8
INSTANTLY = 1e6
"""Events follow each other without a pause: these names do not depend on times."""

Names = dict[tuple[str, int], str | None]
"""By file and index."""


async def run_name(target: Target, scenario: Scenario, shared: Shared) -> str | None:
    """The signature of one attempt at ``target``."""
    attempt = HttpAttempt(
        AttemptId("r", 1, "first"),
        Conversation(scenario, scenario.messages),
        target=target,
        credential=Credential({}),
        limits=Limits(stall_s=60, timeout_s=120, connect_timeout_s=60),
        shared=shared,
        emit=lambda _: None,
    )
    return (await attempt.go()).signature.name


async def replayed_names(recordings: Mapping[str, Sequence[Interaction]]) -> Names:
    """The signatures of a replay of each stream, by the real probe over loopback."""
    shared, gate = Shared(), asyncio.Semaphore(AT_ONCE)
    async with Simulator(profile.load("smooth"), replays=replay_scripts(recordings, speed=INSTANTLY)) as server:
        streams = replayed(recordings)

        async def one(at: int) -> str | None:
            async with gate:
                return await run_name(replay_target(streams[at], server.origin), replay_scenario(streams[at]), shared)

        names = await asyncio.gather(*map(one, range(len(streams))))
    return {(one.file, one.interaction.index): name for one, name in zip(streams, names, strict=True)}


def decoded_names(recordings: Mapping[str, Sequence[Interaction]], keys: Sequence[tuple[str, int]]) -> Names:
    """The signatures that decode gives to these streams."""
    found = {(file, one.index): one for file, interactions in recordings.items() for one in interactions}
    return {key: decode(key[0], found[key]).signature for key in keys}
