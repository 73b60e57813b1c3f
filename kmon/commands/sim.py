"""``kmon sim``: the simulated provider, or with ``--gateway`` a gateway over one, or what a bench's clients did."""

from __future__ import annotations

import argparse

from msgspec.structs import replace

from kmon.catalog.errors import UsageError
from kmon.simulator.endpoints import PLACES
from kmon.simulator.serve import SimOptions
from kmon.simulator.serve import main as serve_provider

GATEWAY_FLAGS = ("protocol", "token", "mechanism", "queue", "gateway_fault", "tick", "provider_url")


def serve(options: argparse.Namespace) -> int:
    """Serve in the foreground. Raises UsageError for what cannot be served."""
    if options.report is not None or options.json:
        from kmon.output.bench import main as report

        return report(url=options.report, port=options.port, as_json=options.json)
    simulated = SimOptions(
        options.host,
        options.port,
        options.profile,
        options.speed,
        options.seed,
        fault=options.fault,
        places=tuple(PLACES) if options.places else (),
    )
    if options.gateway:
        return _serve_gateway(options, simulated)
    for name in GATEWAY_FLAGS:
        if getattr(options, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} is for the gateway; add --gateway")
    return serve_provider(simulated)


def _serve_gateway(options: argparse.Namespace, simulated: SimOptions) -> int:
    from kmon.openclaw.simulated.options import GatewayOptions, checked
    from kmon.openclaw.simulated.serve import main as serve_gateway

    if options.provider_url is not None and options.profile != SimOptions().profile:
        raise UsageError("--profile is for the simulated provider, which --provider-url replaces; leave one out")
    given = {name: getattr(options, name) for name in ("protocol", "token", "mechanism", "queue", "provider_url")}
    given |= {"fault": options.gateway_fault, "tick_s": options.tick}
    shared = {"host": options.host, "port": options.port, "speed": options.speed, "seed": options.seed}
    defaults = {"provider_url": "http://127.0.0.1"}  # known once the provider listens
    chosen = {name: value for name, value in given.items() if value is not None}
    gateway = checked(GatewayOptions(**{**defaults, **chosen, **shared}))
    provider = replace(simulated, port=0) if options.provider_url is None else None
    return serve_gateway(gateway, provider)
