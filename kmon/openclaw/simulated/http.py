"""HTTP under the gateway's WebSockets: aiohttp's server with kmon's local-only check and JSON errors."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from kmon.dialects.server_request import NotLocalError
from kmon.dialects.text import clean
from kmon.simulator.connection import FAREWELL_LIMIT_BYTES, FAREWELL_LIMIT_S, FAREWELL_S
from kmon.simulator.http import Check

SENTENCE_LIMIT_CHARS = 100

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class GatewayServer(web.Server):
    """Serves with ``handler`` the requests that ``check`` does not refuse."""

    def __init__(self, handler: Handler, check: Check) -> None:
        self._options: dict[str, Any] = {"access_log": None}
        self._handler, self._check = handler, check
        super().__init__(self._checked)

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=asyncio.get_running_loop(), **self._options)

    async def _checked(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): ", ".join(request.headers.getall(name)) for name in request.headers}
        try:
            self._check(request.raw_path, request.version.minor, headers)
            return await self._handler(request)
        except NotLocalError as error:
            return refusal(request, error.status, str(error), error.code)
        except web.HTTPException as error:
            return refusal(request, error.status, _sentence(error.text or error.reason))


def refusal(request: web.BaseRequest, status: int, message: str, code: str | None = None) -> web.Response:
    """An error response that closes the connection only after the client could read it, even while it still sends."""
    assert isinstance(request.protocol, _Protocol)
    return _Refusal(request.protocol, status, message, code)


class _Protocol(web.RequestHandler):
    """One connection."""

    def __init__(self, manager: web.Server, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own options
        super().__init__(manager, **options)
        self._woken = asyncio.Event()
        self._gone = self._draining = False
        self._discarded_bytes = 0

    def data_received(self, data: bytes) -> None:
        if self._draining:
            self._discarded_bytes += len(data)
            self._woken.set()
        else:
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._gone = True
        self._woken.set()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a bad request in one sentence: aiohttp's own answer shows what was sent, and its log a traceback."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        if isinstance(exc, LineTooLong):
            return _Refusal(self, 431, "a line of the request's head is too long", None)
        return _Refusal(self, status, f"this is no request of HTTP/1.1: {_sentence(message or '')}", None)

    async def drain(self) -> None:
        """Wait, with limits, until a client that has its answer closes; then close."""
        self._draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_LIMIT_S):
                if self.transport is not None:
                    self.transport.resume_reading()
                    self.transport.write_eof()
                while not self._gone and self._discarded_bytes < FAREWELL_LIMIT_BYTES:
                    self._woken.clear()
                    async with asyncio.timeout(FAREWELL_S):
                        await self._woken.wait()
        self.force_close()


class _Refusal(web.Response):
    def __init__(self, client: _Protocol, status: int, message: str, code: str | None) -> None:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        headers = {"Connection": "close"}  # aiohttp leaves it out where it is the default
        body = json.dumps({"error": error})
        super().__init__(status=status, text=body, content_type="application/json", headers=headers)
        self.force_close()
        self._client = client

    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        await self._client.drain()


def _sentence(text: str) -> str:
    return clean(text.strip().partition("\n")[0]).rstrip(" .:")[:SENTENCE_LIMIT_CHARS]
