"""The client's side of a connection: its requests as they go on, each with the upstream's Host, and told of."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from msgspec import Struct

from kmon.dialects.local_only import NotLocalError
from kmon.proxy.relay.body import Body, body_of_request
from kmon.proxy.relay.head import (
    HeadError,
    RequestHead,
    end_of_head,
    refuse_other_protocols,
    request_head,
    with_host,
)
from kmon.proxy.relay.observer import Watcher

OPEN_LIMIT = 100
"""Requests one connection may send ahead of their answers; clients send one, and each is kept until it ends."""

IMPATIENT = "too-many-requests"
"""The code of what is refused without a wait for the answers before it, which are why."""
Check = Callable[[str, int, Mapping[str, str]], None]
"""Called with target, minor version and fields of each request; raises :class:`NotLocalError` for a page of the web."""


class Open(Struct):
    """A request that was passed on and whose answer has not ended."""

    head: RequestHead
    watcher: Watcher
    sent: bool = False


class Asking:
    """Bytes from the client in, bytes for the upstream out. ``open`` holds the requests that wait for their end.

    After a request to change the protocol everything is held back until :attr:`tunnel` says what became of it.
    """

    def __init__(self, host: str, check: Check, watch: Callable[[int, RequestHead], Watcher]) -> None:
        self._host, self._check, self._watch = host, check, watch
        self._pending = bytearray()
        self._looked_bytes = 0
        self._body: Body | None = None
        self._current: Open | None = None
        self.open: deque[Open] = deque()
        self.held = False
        """An upgrade was asked for and not answered yet."""
        self.tunnel: Watcher | None = None
        """Set once the upstream has agreed to another protocol."""
        self.problem: HeadError | None = None
        """Why nothing more of this client is passed on. What came before it has been."""

    @property
    def refused_a_head(self) -> bool:
        """Whether the :attr:`problem` is with a HEAD request, whose answer has no body."""
        return self.problem is not None and self._pending.startswith(b"HEAD ")

    def feed(self, t_ns: int, data: bytes) -> tuple[bytes, list[Open]]:
        """What of ``data`` is to be passed on now, and the requests that are complete with it."""
        if self.problem is not None:
            return b"", []
        if self.tunnel is not None:
            self.tunnel.tunnelled(t_ns, "client", data)
            return data, []
        if self._body is not None and not self._pending and not self.held:
            try:
                payload, taken = self._body.feed(data)
            except HeadError as error:
                self.problem = error
                return b"", []
            if taken == len(data):  # the usual case of an upload: nothing is copied
                return data, self._took(t_ns, payload)
            sent = self._took(t_ns, payload)
            more, further = self.feed(t_ns, data[taken:])
            return data[:taken] + more, sent + further
        self._pending += data
        return self._requests(t_ns)

    def release(self, t_ns: int, tunnel: Watcher | None) -> tuple[bytes, list[Open]]:
        """The answer to an upgrade is there: pass on what was held, as bytes of the tunnel or as requests."""
        self.held, self.tunnel = False, tunnel
        if tunnel is None:
            return self._requests(t_ns)
        data = bytes(self._pending)
        self._pending.clear()
        if data:
            tunnel.tunnelled(t_ns, "client", data)
        return data, []

    def _requests(self, t_ns: int) -> tuple[bytes, list[Open]]:
        out, sent = bytearray(), list[Open]()
        try:
            self._read(t_ns, out, sent)
        except HeadError as error:
            self.problem = error
        except NotLocalError as error:
            self.problem = HeadError(str(error), error.status, error.code, told=True)
        return bytes(out), sent

    def _read(self, t_ns: int, out: bytearray, sent: list[Open]) -> None:
        while self._pending and not self.held:
            if self._body is None:
                while bytes(self._pending[:1]) in (b"\r", b"\n"):  # between requests they mean nothing (RFC 9112, 2.2)
                    del self._pending[:1]
                if not self._pending:
                    break
                refuse_other_protocols(self._pending)
                end = end_of_head(self._pending, self._looked_bytes)
                self._looked_bytes = len(self._pending) if end is None else 0
                if end is None:
                    break
                if len(self.open) >= OPEN_LIMIT:
                    words = f"more than {OPEN_LIMIT} requests on a connection before the first is answered"
                    raise HeadError(words, code=IMPATIENT)
                raw = bytes(self._pending[:end])
                head = request_head(raw)
                self._check(head.target, head.minor, head.headers)
                body = body_of_request(head)
                del self._pending[:end]
                out += with_host(raw, self._host)
                self._current = Open(head, self._watch(t_ns, head))
                self.open.append(self._current)
                self._body = body
                sent += self._took(t_ns, b"")
                continue
            payload, taken = self._body.feed(bytes(self._pending))
            out += self._pending[:taken]
            del self._pending[:taken]
            sent += self._took(t_ns, payload)

    def _took(self, t_ns: int, payload: bytes) -> list[Open]:
        current, body = self._current, self._body
        assert current is not None
        assert body is not None
        if payload:
            current.watcher.request_body(t_ns, payload)
        if not body.done:
            return []
        self._body = self._current = None
        self.held = current.head.upgrade
        return [current]
