"""The words for how far a connection has come, and who is told."""

from collections.abc import Callable
from typing import Literal

from kmon.transport.tcp_info import TcpSampler

Phase = Literal["dns", "connect", "tls", "request_sent", "headers"]
OnPhase = Callable[[Phase, int, str], None]
"""Called with the phase just completed, its CLOCK_MONOTONIC stamp in ns, and a detail (peer, TLS version)."""
OnLine = Callable[[TcpSampler], None]
"""Called with the line of a connection as soon as there is one: to look at, never to read or close."""
