"""The upstream's side of a connection: its answers, parsed beside the passing. Nothing here can change a byte."""

from __future__ import annotations

from collections import deque
from typing import Literal

from kmon.dialects.delta import StreamError
from kmon.proxy.relay.body import Body, body_of_response
from kmon.proxy.relay.head import HeadError, ResponseHead, end_of_head, response_head
from kmon.proxy.relay.observer import End, ExchangeObserver
from kmon.proxy.relay.request_side import OpenRequest

SWITCHING = 101
News = Literal["upgrade", "answered"]
"""Events to wait for: an upgrade was accepted or refused; an answer ended."""


class ResponseSide:
    """Parses the answers to the requests in ``waiting`` (shared with the client's side) for their observers."""

    def __init__(self, waiting: deque[OpenRequest]) -> None:
        self._waiting = waiting
        self._pending = bytearray()
        self._looked_bytes = 0
        self._body: Body | None = None
        self._current: OpenRequest | None = None
        self.problem: HeadError | None = None
        """Why answers are not parsed any more: the bytes are not HTTP. They are still passed on."""
        self.tunnel: ExchangeObserver | None = None

    @property
    def whole(self) -> bool:
        """Whether closing the connection now would be the regular end of an answer."""
        return self._body is not None and self._body.until_close

    @property
    def begun(self) -> bool:
        """Whether an answer's head has come and its body has not ended."""
        return self._body is not None

    @property
    def between(self) -> bool:
        """Whether no answer is incomplete, so that the relay may send one of its own."""
        return not (self.begun or self._pending or self.problem or self.tunnel)

    def feed(self, t_ns: int, data: bytes) -> News | None:
        """Parse ``data``; the event in it, if any."""
        if self.tunnel is not None:
            self.tunnel.tunnelled(t_ns, "upstream", data)
            return None
        if self.problem is not None:
            return None
        try:
            return self._read(t_ns, data)
        except HeadError as error:
            self.problem = error
            return "answered"  # it will not become more complete

    def _read(self, t_ns: int, data: bytes) -> News | None:
        news: News | None = None
        while data:
            if self._body is not None:
                payload, taken = self._body.feed(data)
                data = data[taken:]
                assert self._current is not None
                if payload:
                    self._current.observer.answer_body(t_ns, payload)
                if self._body.done:
                    self._close(t_ns)
                    news = news or "answered"
                continue
            self._pending += data
            end = end_of_head(self._pending, self._looked_bytes)
            self._looked_bytes = len(self._pending) if end is None else 0
            if end is None:
                return news
            raw, data = bytes(self._pending[:end]), bytes(self._pending[end:])
            self._pending.clear()
            news = self._headed(t_ns, response_head(raw)) or news
            if self.tunnel is not None:
                if data:
                    self.tunnel.tunnelled(t_ns, "upstream", data)
                return news
        return news

    def _headed(self, t_ns: int, head: ResponseHead) -> News | None:
        if not self._waiting:
            raise HeadError("an answer that nobody asked for")
        current = self._waiting[0]
        if head.status == SWITCHING and current.head.upgrade:
            current.observer.answered(t_ns, head)
            self.tunnel, self._current = current.observer, current
            return "upgrade"
        if head.status < 200:
            return None
        self._current, self._body = current, body_of_response(head, current.head.method)
        current.observer.answered(t_ns, head)
        news: News | None = "upgrade" if current.head.upgrade else None
        if self._body.done:
            self._close(t_ns)
            return news or "answered"
        return news

    def _close(self, t_ns: int) -> None:
        current = self._waiting.popleft()
        self._body = self._current = None
        current.observer.ended(t_ns, End("complete"))

    def upstream_ended(self) -> StreamError | None:
        """The error of a clean close of the upstream now, with a request open; None if it is the regular end."""
        if self.problem is not None:
            return StreamError("protocol", f"the answer is not valid HTTP: {self.problem}")
        if self.whole:
            return None
        if self.begun:
            return StreamError("cut", "the peer closed the connection in the middle of the body")
        return StreamError("cut", "the peer closed the connection without sending a response")
