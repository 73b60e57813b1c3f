"""The origin that a relay passes requests on to, and the connection to it."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

import httpcore
from msgspec import Struct

from kmon.transport.backend import StampedStream, StampingBackend
from kmon.transport.phase import OnPhase, OnSampler


class Upstream(Struct, frozen=True):
    """An origin. ``host`` is a name or an address without brackets."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Upstream:
        """The origin of a base URL; the path is ignored."""
        parts = urlsplit(url)
        return cls(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    async def dial(
        self, context: ssl.SSLContext, limit_s: float, on_phase: OnPhase, on_sampler: OnSampler
    ) -> tuple[httpcore.AsyncNetworkStream, StampedStream]:
        """Connect, with TLS for https: the stream to use, and the one below it that has the stamps.

        Raises the exceptions of httpcore's network backends.
        """
        backend = StampingBackend(on_phase, on_sampler)
        stream = await backend.connect_tcp(self.host, self.port, limit_s)
        assert backend.stream is not None
        if self.scheme == "https":
            stream = await stream.start_tls(context, self.host, limit_s)
        return stream, backend.stream
