"""What all attempts of a race share on the network: whom to trust, who is watching, and clients costly to make."""

from __future__ import annotations

import asyncio
import ssl
from functools import cache, cached_property
from typing import TYPE_CHECKING, NamedTuple

import anyio
import httpx

from kmon.transport.machine import Machine

if TYPE_CHECKING:
    from kmon.transport.bedrock import Bedrock


class Place(NamedTuple):
    """Where requests to an AWS service go."""

    region: str
    endpoint_url: str | None
    """None for the endpoint that botocore finds for the region."""
    placeholder: bool
    """Whether a request without a credential is signed with invented keys."""


@cache
def authorities() -> ssl.SSLContext:
    """Whom kmon trusts. Read once per process (30 ms of work); nothing of it belongs to one race."""
    return httpx.create_ssl_context()


class Network:
    """One per race, made on its event loop. ``bedrock`` imports aiobotocore when it is first used."""

    def __init__(self) -> None:
        self.ssl_context = authorities()
        self.machine = Machine()
        self.busy = asyncio.Event()
        """Set while anything is measured; without that, the witnesses rest."""
        anyio.Lock()  # loads what httpcore would otherwise load inside the first attempt: 60 to 90 ms, measured

    @cached_property
    def bedrock(self) -> Bedrock:
        from kmon.transport.bedrock import Bedrock

        return Bedrock(self.ssl_context)
