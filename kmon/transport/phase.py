"""The phases of a connection, and the callbacks that receive them. Apart from connecting: events carry a phase."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from kmon.transport.tcp_info import TcpSampler

Phase = Literal["dns", "connect", "tls", "reused", "request_sent", "headers"]
"""``reused``, in the place of the three before it: the request is sent over a connection that was used before."""
OnPhase = Callable[[Phase, int, str], None]
"""Called with the phase just completed, its CLOCK_MONOTONIC stamp in ns, and a detail (peer, TLS version)."""
OnSampler = Callable[[TcpSampler], None]
"""Called with the sampler of a connection as soon as it is open."""
