"""TLS over a stream that stamps its arrivals.

The TLS session is kept in memory (``ssl.MemoryBIO``), so that the socket stays kmon's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpcore

from kmon.transport.phase import OnPhase

READ_BYTES = 65_536
_T = TypeVar("_T")


class TlsStream(httpcore.AsyncNetworkStream):
    """A TLS client over ``inner``. Bytes read here come from the last read of ``inner``, so its stamp is theirs."""

    def __init__(
        self, inner: httpcore.AsyncNetworkStream, context: ssl.SSLContext, host: str | None, on_phase: OnPhase
    ) -> None:
        self._inner, self._on_phase = inner, on_phase
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._sending = asyncio.Lock()  # a read may also have to send records (a key update)

    @classmethod
    async def over(
        cls,
        inner: httpcore.AsyncNetworkStream,
        context: ssl.SSLContext,
        host: str | None,
        timeout_s: float | None,
        on_phase: OnPhase,
    ) -> TlsStream:
        """Shake hands with ``host``. Raises ``httpcore.ConnectError`` or ``ConnectTimeout``, the stream then closed."""
        stream = cls(inner, context, host, on_phase)
        try:
            async with asyncio.timeout(timeout_s):
                await stream._do(stream._session.do_handshake)
        except TimeoutError as exc:
            await inner.aclose()
            raise httpcore.ConnectTimeout(f"no TLS handshake within {timeout_s:g} s") from exc
        except (OSError, ssl.SSLError, httpcore.NetworkError) as exc:
            await inner.aclose()
            raise httpcore.ConnectError(str(exc) or "the TLS handshake failed") from exc
        except BaseException:  # cancelled: httpcore does not have this stream yet, so it cannot close it
            await inner.aclose()
            raise
        on_phase("tls", time.monotonic_ns(), stream._session.version() or "")
        return stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Decrypted bytes; ``b""`` at the end, with or without close_notify."""
        try:
            return await self._do(lambda: self._session.read(max_bytes), timeout)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except ssl.SSLError as exc:
            raise httpcore.ReadError(str(exc)) from exc

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        try:
            while view:
                rest = view
                written = await self._do(lambda: self._session.write(rest), timeout)  # noqa: B023 - awaited here
                view = view[written:]
        except ssl.SSLError as exc:
            raise httpcore.WriteError(str(exc)) from exc

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return await TlsStream.over(self, ssl_context, server_hostname, timeout, self._on_phase)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's signature
        return self._session if info == "ssl_object" else self._inner.get_extra_info(info)

    async def _do(self, step: Callable[[], _T], timeout_s: float | None = None) -> _T:
        """Do one step of the session; transfer its records over ``inner`` until the step is complete."""
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                await self._flush(timeout_s)
                if data := await self._inner.read(READ_BYTES, timeout_s):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
                continue
            except ssl.SSLError:
                with contextlib.suppress(httpcore.NetworkError):
                    await self._flush(timeout_s)  # the alert with the reason for the peer
                raise
            await self._flush(timeout_s)
            return done

    async def _flush(self, timeout_s: float | None) -> None:
        async with self._sending:
            if records := self._outgoing.read():
                await self._inner.write(records, timeout_s)
