"""The client's side of a connection: its requests, passed on with the upstream's Host and shown to their observers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from msgspec import Struct

from kmon.dialects.server_request import NotLocalError
from kmon.proxy.relay.body import Body, body_of_request
from kmon.proxy.relay.head import (
    HeadError,
    RequestHead,
    end_of_head,
    refuse_other_protocols,
    request_head,
    with_host,
)
from kmon.proxy.relay.observer import ExchangeObserver

OPEN_LIMIT = 100
"""Requests that one connection may have open; usual clients have one."""

TOO_MANY = "too-many-requests"
"""The code of a refusal that does not wait for the earlier answers, which are its reason."""
Check = Callable[[str, int, Mapping[str, str]], None]
"""Called with target, minor version and fields of each request; raises :class:`NotLocalError` for a web page's."""


class OpenRequest(Struct):
    """A request that was passed on and whose answer has not ended."""

    head: RequestHead
    observer: ExchangeObserver
    sent: bool = False


class RequestSide:
    """Bytes from the client in, bytes for the upstream out. ``open`` holds the requests without a complete answer.

    After an upgrade request all bytes are held until :meth:`release`.
    """

    def __init__(self, host: str, check: Check, observe: Callable[[int, RequestHead], ExchangeObserver]) -> None:
        self._host, self._check, self._observe = host, check, observe
        self._pending = bytearray()
        self._looked_bytes = 0
        self._body: Body | None = None
        self._current: OpenRequest | None = None
        self.open: deque[OpenRequest] = deque()
        self.held = False
        """An upgrade request has no answer yet."""
        self.tunnel: ExchangeObserver | None = None
        """Set when the upstream has accepted an upgrade."""
        self.problem: HeadError | None = None
        """Why no further bytes of this client are passed on; earlier requests were."""

    @property
    def refused_a_head(self) -> bool:
        """Whether the :attr:`problem` is with a HEAD request, whose answer has no body."""
        return self.problem is not None and self._pending.startswith(b"HEAD ")

    def feed(self, t_ns: int, data: bytes) -> tuple[bytes, list[OpenRequest]]:
        """The part of ``data`` to pass on now, and the requests that it completes."""
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
            if taken == len(data):  # the usual case of an upload, without a copy
                return data, self._took(t_ns, payload)
            sent = self._took(t_ns, payload)
            more, further = self.feed(t_ns, data[taken:])
            return data[:taken] + more, sent + further
        self._pending += data
        return self._requests(t_ns)

    def release(self, t_ns: int, tunnel: ExchangeObserver | None) -> tuple[bytes, list[OpenRequest]]:
        """The upgrade was answered: the held bytes, as bytes of ``tunnel`` or, if it is None, as requests."""
        self.held, self.tunnel = False, tunnel
        if tunnel is None:
            return self._requests(t_ns)
        data = bytes(self._pending)
        self._pending.clear()
        if data:
            tunnel.tunnelled(t_ns, "client", data)
        return data, []

    def _requests(self, t_ns: int) -> tuple[bytes, list[OpenRequest]]:
        out, sent = bytearray(), list[OpenRequest]()
        try:
            self._read(t_ns, out, sent)
        except HeadError as error:
            self.problem = error
        except NotLocalError as error:
            self.problem = HeadError(str(error), error.status, error.code, reported=True)
        return bytes(out), sent

    def _read(self, t_ns: int, out: bytearray, sent: list[OpenRequest]) -> None:
        while self._pending and not self.held:
            if self._body is None:
                while bytes(self._pending[:1]) in (b"\r", b"\n"):  # ignored between requests (RFC 9112, 2.2)
                    del self._pending[:1]
                if not self._pending:
                    break
                refuse_other_protocols(self._pending)
                end = end_of_head(self._pending, self._looked_bytes)
                self._looked_bytes = len(self._pending) if end is None else 0
                if end is None:
                    break
                if len(self.open) >= OPEN_LIMIT:
                    sentence = f"more than {OPEN_LIMIT} requests on a connection before the first is answered"
                    raise HeadError(sentence, code=TOO_MANY)
                raw = bytes(self._pending[:end])
                head = request_head(raw)
                self._check(head.target, head.minor, head.headers)
                body = body_of_request(head)
                del self._pending[:end]
                out += with_host(raw, self._host)
                self._current = OpenRequest(head, self._observe(t_ns, head))
                self.open.append(self._current)
                self._body = body
                sent += self._took(t_ns, b"")
                continue
            payload, taken = self._body.feed(bytes(self._pending))
            out += self._pending[:taken]
            del self._pending[:taken]
            sent += self._took(t_ns, payload)

    def _took(self, t_ns: int, payload: bytes) -> list[OpenRequest]:
        current, body = self._current, self._body
        assert current is not None
        assert body is not None
        if payload:
            current.observer.request_body(t_ns, payload)
        if not body.done:
            return []
        self._body = self._current = None
        self.held = current.head.upgrade
        return [current]
