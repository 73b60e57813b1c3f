"""Simulated gateways in a child process, each with the simulated provider of that process or a given one."""

from __future__ import annotations

from collections.abc import Sequence

from kmon.openclaw.simulated.options import TOKEN, Mechanism
from kmon.openclaw.simulated.releases import Protocol
from kmon.simulator.child import Child

PROVIDER = "gateway"
"""The provider's name in the base URL of a gateway without a mechanism; with one it is ``gateway-a`` and so on."""


class EmbeddedGateway(Child):
    """Gateways in a child process: ``with EmbeddedGateway(...).running()`` or ``async with EmbeddedGateway(...)``.

    One gateway per entry of ``mechanisms``, None for a healthy one. ``provider_urls`` are the base URLs of their model
    calls, in the same order; without any, all use the simulated provider of the child. To put a proxy in front of a
    simulated provider, start an ``Embedded`` simulator first, aim the proxy at ``simulator.base_url("gateway-a")`` and
    give the proxy's base URL here.

    The child ends with the context, and by itself when this process dies. Entering raises :class:`UsageError` for
    impossible options and :class:`SimulatorError` when the child does not start.
    """

    def __init__(
        self,
        mechanisms: Sequence[Mechanism | None] = (None,),
        *,
        provider_urls: Sequence[str] = (),
        protocol: Protocol = 3,
        speed: float = 1.0,
    ) -> None:
        self.token = TOKEN
        shared = [f"--protocol={protocol}", f"--speed={speed!r}"]
        each = [f"--mechanism={mechanism or 'none'}" for mechanism in mechanisms]
        given = [f"--provider-url={url}" for url in provider_urls]
        super().__init__("kmon.openclaw.simulated", [*shared, *each, *given])

    @property
    def urls(self) -> list[str]:
        """The WebSocket URL of each gateway, in the order of the mechanisms."""
        return [f"ws://127.0.0.1:{port}" for port in self.ready.get("ports", ())]

    @property
    def url(self) -> str:
        """The WebSocket URL of the first gateway."""
        return self.urls[0]

    @property
    def provider_origin(self) -> str:
        """Scheme, host and port of the child's simulated provider; empty when base URLs were given."""
        port = self.ready.get("provider_port")
        return f"http://127.0.0.1:{port}" if port else ""
