"""The child process of embedded gateways: prints its ports on stdout and runs until its stdin closes."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack
from itertools import zip_longest

from kmon.errors import UsageError
from kmon.logs import log
from kmon.openclaw.simulated.options import GatewayOptions
from kmon.openclaw.simulated.serve import gateway_listening, provider_name
from kmon.process.parent_death import end_with_parent
from kmon.simulator.serve import SimOptions, listening


async def _embedded(given: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(0, lambda: None if os.read(0, 4096) else stop.set())
    mechanisms = [None if name == "none" else name for name in given.mechanism]
    if given.provider_url and len(given.provider_url) != len(mechanisms):
        raise UsageError(f"--provider-url: {len(given.provider_url)} given for {len(mechanisms)} gateways")
    async with AsyncExitStack() as stack:
        ready: dict[str, object] = {}
        provider = None
        if not given.provider_url:
            provider = await stack.enter_async_context(listening(SimOptions(speed=given.speed)))
            ready["provider_port"] = provider.port
        ports = []
        for number, (mechanism, url) in enumerate(zip_longest(mechanisms, given.provider_url)):
            options = GatewayOptions(
                provider_url=provider.base_url(provider_name(mechanism)) if provider is not None else url,
                protocol=given.protocol,
                mechanism=mechanism,
                speed=given.speed,
                seed=1 + number,  # run ids are drawn from it and must differ between gateways
            )
            gateway = await stack.enter_async_context(gateway_listening(options))
            ports.append(gateway.port)
        print(json.dumps({**ready, "ports": ports}), flush=True)
        await stop.wait()


def main() -> int:
    end_with_parent()
    log.begin_in_child(os.environ)
    parser = argparse.ArgumentParser(prog="python -m kmon.openclaw.simulated", description=__doc__, allow_abbrev=False)
    parser.add_argument("--mechanism", action="append", default=[])
    parser.add_argument("--provider-url", action="append", default=[])
    parser.add_argument("--protocol", type=int, default=3)
    parser.add_argument("--speed", type=float, default=1.0)
    try:
        asyncio.run(_embedded(parser.parse_args()))
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
