"""Which connection carries an exchange: usually one of its own, else one that an earlier exchange left open."""

from __future__ import annotations

import ssl
from typing import NamedTuple

from kmon.transport.connection import Connection, Http1Connection, Route

KEPT_LIMIT = 8
"""Connections kept open per route: two rounds of an isolation."""


class KeptConnections:
    """Open connections that a request has used and no request uses now. Close them in the end."""

    def __init__(self) -> None:
        self._idle: dict[Route, list[Connection]] = {}

    async def take(self, route: Route) -> Connection | None:
        """The one that was used last, as clients do, since a server closes the oldest first; None if none is open."""
        idle = self._idle.get(route, [])
        while idle:
            connection = idle.pop()
            if connection.idle:
                return connection
            await connection.close()
        return None

    async def keep(self, route: Route, connection: Connection) -> None:
        """Keep a connection if it can be used again, else close it."""
        if not connection.idle:
            await connection.close()
            return
        idle = self._idle.setdefault(route, [])
        idle.append(connection)
        if len(idle) > KEPT_LIMIT:
            await idle.pop(0).close()

    async def close(self) -> None:
        """Close them all. May be repeated."""
        kept, self._idle = self._idle, {}
        for idle in kept.values():
            for connection in idle:
                await connection.close()


class Carriage(NamedTuple):
    """How an exchange gets its connection, and what becomes of it.

    ``kept``: it is left open there after an answer that was read to its end; None: it is closed. With ``reuse`` the
    exchange takes a connection from there; if none is open, it opens one. ``http2`` needs https, no proxy, and h2.
    """

    kept: KeptConnections | None = None
    reuse: bool = False
    http2: bool = False

    async def connection(self, route: Route, ssl_context: ssl.SSLContext) -> Connection:
        """The connection of an exchange over ``route``."""
        used = await self.kept.take(route) if self.kept is not None and self.reuse else None
        if used is not None:
            return used
        if not self.http2:
            return Http1Connection(ssl_context, route.proxy)
        from kmon.transport.http2 import Http2Connection

        return Http2Connection(ssl_context)

    async def done(self, route: Route, connection: Connection) -> None:
        """The exchange is over, in whatever way."""
        if self.kept is None:
            await connection.close()
        else:
            await self.kept.keep(route, connection)


OWN_CONNECTION = Carriage()
"""A connection of its own, closed afterwards."""
