"""Connections that are kept for later exchanges: when one is used again, and when it is closed."""

from __future__ import annotations

import asyncio
import ssl

import trustme

from kmon.transport.carriage import KEPT_LIMIT, Carriage, KeptConnections
from kmon.transport.connection import Route
from kmon.transport.http import Answer, HttpRequest, exchange
from tests.support.loopback import END, HEAD, chunked, listening, read_request

NO_TLS = ssl.create_default_context()


class Served:
    """Answers every request of every connection; notes the connection of each, and how many are open."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces or (chunked(b"one") + END,)
        self.by: list[int] = []
        self.connections = self.open = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        number = self.connections
        try:
            while True:
                await read_request(reader)
                self.by.append(number)
                writer.write(HEAD)
                for piece in self.pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)
        finally:
            self.open -= 1

    async def until_open(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.open != count:
                await asyncio.sleep(0.01)


async def all_of(answer: Answer) -> None:
    async for _ in answer.reads():
        pass


async def nothing_of(_: Answer) -> None:
    pass


async def first_of(answer: Answer) -> None:
    async for _ in answer.reads():
        return


async def sent(
    url: str,
    kept: KeptConnections | None,
    *,
    reuse: bool = True,
    read: object = all_of,
    context: ssl.SSLContext = NO_TLS,
) -> list[str]:
    """The phases of one exchange."""
    phases: list[str] = []
    async with exchange(
        HttpRequest("POST", url, {}, b"{}"),
        on_phase=lambda phase, *_: phases.append(phase),
        ssl_context=context,
        connect_timeout_s=5,
        carriage=Carriage(kept, reuse),
    ) as answer:
        await read(answer)  # type: ignore[operator]
    return phases


NEW = ["dns", "connect", "request_sent", "headers"]
USED = ["reused", "request_sent", "headers"]


async def test_a_used_connection_has_no_phases_of_connecting() -> None:
    served, kept = Served(), KeptConnections()
    async with listening(served) as port:
        url = f"http://127.0.0.1:{port}/v1"
        assert await sent(url, kept) == NEW
        assert await sent(url, kept) == USED
        assert await sent(url, kept, reuse=False) == NEW
        assert served.by == [1, 1, 2]
        await kept.close()
        await served.until_open(0)


async def test_the_same_over_tls() -> None:
    authority = trustme.CA()
    here, there = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(here)
    authority.issue_cert("localhost").configure_cert(there)
    served, kept = Served(), KeptConnections()
    async with listening(served, there) as port:
        url = f"https://localhost:{port}/v1"
        assert await sent(url, kept, context=here) == ["dns", "connect", "tls", "request_sent", "headers"]
        assert await sent(url, kept, context=here) == USED
        await kept.close()


async def test_another_server_or_proxy_is_another_route() -> None:
    assert Route.of("http://a/x", None) == Route.of("http://a/y?z", None)
    assert len({Route.of("http://a", None), Route.of("https://a", None), Route.of("http://a:81", None)}) == 3
    assert Route.of("http://a", None) != Route.of("http://a", "http://proxy")
    assert "secret" not in repr(Route.of("http://a", "http://me:secret@proxy"))
    served, kept = Served(), KeptConnections()
    async with listening(served) as port, listening(served) as other:
        assert await sent(f"http://127.0.0.1:{port}", kept) == NEW
        assert await sent(f"http://127.0.0.1:{other}", kept) == NEW
        await kept.close()


async def test_what_follows_the_end_of_an_answer_is_read_so_that_its_connection_is_kept() -> None:
    served, kept = Served(chunked(b"the end"), END), KeptConnections()
    async with listening(served) as port:
        url = f"http://127.0.0.1:{port}"
        assert await sent(url, kept, read=first_of) == NEW
        assert await sent(url, kept, read=nothing_of) == USED
        assert await sent(url, kept) == USED
        await kept.close()


async def test_an_answer_that_goes_on_closes_its_connection() -> None:
    served, kept = Served(*([chunked(b"more")] * 200), END), KeptConnections()
    async with listening(served) as port:
        url = f"http://127.0.0.1:{port}"
        assert await sent(url, kept, read=first_of) == NEW
        await served.until_open(0)
        assert await sent(url, kept, read=first_of) == NEW


async def test_without_a_place_to_keep_it_a_connection_is_closed() -> None:
    served = Served()
    async with listening(served) as port:
        assert await sent(f"http://127.0.0.1:{port}", None) == NEW
        await served.until_open(0)


async def test_only_so_many_are_kept() -> None:
    served, kept = Served(), KeptConnections()
    async with listening(served) as port:
        for _ in range(KEPT_LIMIT + 3):
            await sent(f"http://127.0.0.1:{port}", kept, reuse=False)
        await served.until_open(KEPT_LIMIT)
        assert await sent(f"http://127.0.0.1:{port}", kept) == USED
        assert served.by[-1] == KEPT_LIMIT + 3, "the one that was used last"
        await kept.close()
        await served.until_open(0)


async def test_a_cancelled_exchange_closes_its_used_connection() -> None:
    served, kept = Served(), KeptConnections()
    async with listening(served) as port:
        url = f"http://127.0.0.1:{port}"
        await sent(url, kept)
        served.pieces = (chunked(b"and then nothing"),)

        async def wait_for_more(answer: Answer) -> None:
            async for _ in answer.reads():
                task.cancel()

        task = asyncio.ensure_future(sent(url, kept, read=wait_for_more))
        await asyncio.wait([task])
        assert task.cancelled() and served.by == [1, 1]
        served.pieces = (END,)
        assert await sent(url, kept) == NEW
        await kept.close()
