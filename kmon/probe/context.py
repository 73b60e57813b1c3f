"""What all attempts of a race share: the TLS context, the local monitor, and clients costly to make."""

from __future__ import annotations

import codecs
from functools import cached_property
from typing import TYPE_CHECKING

import anyio

from kmon.blame.local_monitor import LocalMonitor
from kmon.transport.tls import authorities

if TYPE_CHECKING:
    from kmon.transport.bedrock import Bedrock


class Shared:
    """One per race, made on its event loop. ``bedrock`` imports aiobotocore when it is first used."""

    def __init__(self) -> None:
        self.ssl_context = authorities()
        self.monitor = LocalMonitor()
        # every look-up of a name needs this codec: loading it needs a file, and all may be in use then
        codecs.lookup("idna")
        anyio.Lock()  # loads what httpcore would otherwise load inside the first attempt: 60 to 90 ms, measured

    @cached_property
    def bedrock(self) -> Bedrock:
        from kmon.transport.bedrock import Bedrock

        return Bedrock(self.ssl_context)
