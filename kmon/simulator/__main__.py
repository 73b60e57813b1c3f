"""The process of an embedded simulator: it prints its port on stdout and ends when its stdin is closed."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from kmon.errors import UsageError
from kmon.logs import log
from kmon.process.files import raise_open_files_limit
from kmon.process.parent_death import end_with_parent
from kmon.simulator.script import Script
from kmon.simulator.serve import SimOptions, listening


async def _embedded(options: SimOptions, replays: Mapping[str, Script]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(0, lambda: None if os.read(0, 4096) else stop.set())
    async with listening(options, replays=replays) as simulator:
        opened = simulator.opened_places
        ready = {
            "port": simulator.port,
            "origins": dict(opened.origins),
            "places": simulator.profile.places,
            "authority": opened.authority_pem.decode(),
        }
        print(json.dumps(ready), flush=True)
        await stop.wait()


def _replays(recordings: Sequence[str], speed: float, as_recorded: bool) -> Mapping[str, Script]:
    if not recordings:
        return {}
    from kmon.recording import load
    from kmon.simulator.replay import replay_scripts

    return replay_scripts({file: load(file) for file in recordings}, speed=speed, as_recorded=as_recorded)


def main() -> int:
    end_with_parent()
    log.begin_in_child(os.environ)
    parser = argparse.ArgumentParser(prog="python -m kmon.simulator", description=__doc__, allow_abbrev=False)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--profile", default="smooth")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault", default="")
    parser.add_argument("--place", action="append", default=[])
    parser.add_argument("--replay", action="append", default=[])
    parser.add_argument("--as-recorded", action="store_true")
    given = parser.parse_args()
    options = SimOptions(
        port=given.port,
        profile=given.profile,
        speed=given.speed,
        seed=given.seed,
        fault=given.fault,
        places=given.place,
    )
    raise_open_files_limit()  # each stream needs a file descriptor here too
    try:
        asyncio.run(_embedded(options, _replays(given.replay, given.speed, given.as_recorded)))
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
