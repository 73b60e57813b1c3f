"""What all attempts of a race share on the network: whom to trust, and the clients that are costly to make."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from kmon.transport.bedrock import Bedrock


class Network:
    """One per race. ``bedrock`` imports aiobotocore when it is first used."""

    def __init__(self) -> None:
        self.ssl_context = httpx.create_ssl_context()

    @cached_property
    def bedrock(self) -> Bedrock:
        from kmon.transport.bedrock import Bedrock

        return Bedrock(self.ssl_context)
