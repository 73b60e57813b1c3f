"""Promises of all three servers on loopback: programs of this machine may ask, a web page of another site may not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp
import httpx
import pytest

from kmon.openclaw.simulated.options import GatewayOptions
from kmon.openclaw.simulated.server import Gateway
from kmon.simulator import profile
from kmon.simulator.server import LEDGER_PATH, Simulator
from tests.support.loopback import serving
from tests.support.relaying import relaying

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
SERVERS = ("proxy", "simulator", "gateway")


@dataclass
class Asked:
    """A server that listens on loopback. ``untouched`` says whether nothing has got past its door."""

    name: str
    port: int
    path: str
    untouched: Callable[[], bool]
    told: list[str] = field(default_factory=list)

    async def answer(self, *lines: str, method: str = "GET", target: str = "", version: str = "1.1") -> Answer:
        """What it says to a request with these header lines, in which ``~`` stands for the port."""
        head = "\r\n".join((f"{method} {target or self.path} HTTP/{version}", *lines, "", ""))
        return await self.said(head.replace("~", str(self.port)).encode("latin-1"))

    async def said(self, data: bytes) -> Answer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").rstrip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            closed = headers.get("connection") == "close" and await reader.read() == b""
        writer.close()
        return Answer(first.partition(" ")[2], headers, body, closed)


@dataclass
class Answer:
    line: str
    headers: dict[str, str]
    body: bytes
    closed: bool

    @property
    def status(self) -> int:
        return int(self.line[:3])

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


@pytest.fixture(params=SERVERS)
async def asked(request: pytest.FixtureRequest) -> AsyncIterator[Asked]:
    async with server(request.param) as one:
        yield one


@contextlib.asynccontextmanager
async def server(name: str, host: str = "127.0.0.1") -> AsyncIterator[Asked]:
    if name == "proxy":
        requests: list[bytes] = []

        async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(OK)

        async with serving(script, requests=requests) as url, relaying(url, host=host) as relay:
            untouched = lambda: not requests and not relay.seen  # noqa: E731
            yield Asked(name, relay.server.port, "/v1/models", untouched, relay.complaints)
    else:
        async with Simulator(profile.load("smooth"), host=host, speed=200) as sim:
            if name == "simulator":
                one = Asked(name, sim.port, "/v1/models", lambda: not sim.request_log.newest)
                sim.on_refused = one.told.append
                yield one
                return
            told: list[str] = []
            async with Gateway(GatewayOptions(sim.base_url("g"), host=host), on_refused=told.append) as gateway:
                yield Asked(name, gateway.port, LEDGER_PATH, lambda: gateway.ledger.opened == 0, told)


LOOPBACK_HOSTS = (
    "127.0.0.1:~", "127.0.0.1", "localhost:~", "LocalHost", "localhost.:~", "127.1.2.3:9", "[::1]:~", "a.b.localhost",
    "localhost:1", "localhost:", "127.1:~", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "127.0.0.1.",
)  # fmt: skip
OTHER_HOSTS = (
    "evil.example", "evil.example:~", "127.0.0.1.evil.example", "localhost.evil.example", "xlocalhost", "0.0.0.0:~",
    "192.168.1.5:~", "[::]:~", "[fe80::1]", "3232235777", "127.0.0.1.nip.io", "128.0.0.1", "127", "[::ffff:10.0.0.1]",
)  # fmt: skip
NO_HOSTS = (
    "", "localhost, localhost", "localhost, evil.example", "local host", "localhost:~:1", "me@localhost",
    "localhost/x", "localhost:99999", "[::1", "::1", "http://localhost", ".", "localhost:x", "localh\xf6st",
)  # fmt: skip


async def test_a_host_that_names_loopback_is_served(asked: Asked) -> None:
    assert {host: (await asked.answer(f"Host: {host}")).status for host in LOOPBACK_HOSTS} == dict.fromkeys(
        LOOPBACK_HOSTS, 200
    )
    assert asked.told == []


@pytest.mark.parametrize(("hosts", "status"), [(OTHER_HOSTS, 421), (NO_HOSTS, 400)])
async def test_any_other_host_is_refused_before_anything_happens(
    asked: Asked, hosts: tuple[str, ...], status: int
) -> None:
    answers = {host: await asked.answer(f"Host: {host}") for host in hosts}
    assert {host: answer.status for host, answer in answers.items()} == dict.fromkeys(hosts, status)
    for answer in answers.values():
        in_one_sentence(answer)
    assert asked.untouched()
    assert len(asked.told) == 1  # once, not for each
    assert answers[hosts[0]].error["message"].endswith(asked.told[0])


def in_one_sentence(answer: Answer) -> None:
    """Whether a refusal has everything it must have, and nothing that lets a page read it."""
    status, _, phrase = answer.line.partition(" ")
    assert phrase == HTTPStatus(int(status)).phrase
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.closed
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert answer.error["message"].isprintable()
    assert 10 < len(answer.error["message"]) < 400


@pytest.mark.parametrize(
    "lines",
    [
        ("Host: localhost", "Host: localhost"),
        ("Host: localhost", "hOST: evil.example"),
        ("Host:", " localhost"),
        ("Host: localhost", " evil.example"),
        ("Host : localhost",),
        ("X: y",),
        ("Host: localhost\nHost: evil.example",),
        ("Host: localhost\rHost: evil.example",),
        ("Host: localhost\x00evil.example",),
    ],
)
async def test_one_host_line_and_no_tricks(asked: Asked, lines: tuple[str, ...]) -> None:
    answer = await asked.answer(*lines)
    assert answer.status == 400
    in_one_sentence(answer)
    assert asked.untouched()


async def test_a_client_of_http_1_0_needs_no_host_but_may_not_name_another(asked: Asked) -> None:
    if asked.name == "simulator":  # which speaks HTTP/1.1 alone, and says so
        assert (await asked.answer(version="1.0")).status == 505
        return
    assert (await asked.answer("Host: evil.example", version="1.0")).status == 421
    assert (await asked.answer("Origin: http://evil.example", version="1.0")).status == 403
    assert asked.untouched()
    assert (await asked.answer(version="1.0")).status == 200


async def test_a_target_with_another_authority_is_refused_whatever_host_says(asked: Asked) -> None:
    for target in ("http://evil.example/v1/models", "HTTP://evil.example:~/v1/models", "https://evil.example?a/b"):
        answer = await asked.answer("Host: localhost", target=target)
        assert answer.status == 421
        in_one_sentence(answer)
    assert asked.untouched()
    own = await asked.answer("Host: localhost", target=f"http://localhost:~{asked.path}")
    assert own.status == (421 if asked.name == "proxy" else 200)  # the proxy says that it is a base URL


PAGES = (
    ("Origin: http://evil.example",),
    ("Origin: null",),
    ("Origin:",),
    ("Origin: http://localhost:3000", "Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors"),
    ("Origin: http://127.0.0.1:~",),  # another origin than localhost, even if it is the same machine
    ("Origin: http://localhost",),
    ("Origin: http://localhost:~.evil.example",),
    ("Origin: http://localhost:~, http://evil.example",),
    ("Origin: http://localhost:~", "Origin: http://evil.example"),
    ("Origin: http://localhost:~/",),
    ("Origin: file://",),
    ("Origin: chrome-extension://abcdef",),
    ("Origin: http://localhost:~", "Sec-Fetch-Site: cross-site"),
    ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"),
    ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-User: ?1"),
    ("Sec-Fetch-Site: same-site",),
    ("Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"),
    ("Sec-Fetch-Site: whatever-comes-next",),
)
PROGRAMS = (
    (),
    ("Sec-Fetch-Mode: cors", "Accept-Language: *"),  # fetch of Node
    ("Sec-Fetch-Site: none", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: empty"),  # Electron's own process
    ("Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-User: ?1"),  # somebody opens the address
    ("Origin: http://localhost:~", "Sec-Fetch-Site: same-origin"),  # a page that the upstream itself serves
    ("Origin: HTTP://LOCALHOST:~",),  # websocket-client sends its own address
    ("Referer: https://my-app.example/", "HTTP-Referer: https://my-app.example"),
)


async def test_a_page_of_another_site_is_refused(asked: Asked) -> None:
    for method in ("GET", "POST"):
        answers = {
            page: await asked.answer("Host: localhost:~", *page, "Content-Length: 0", method=method) for page in PAGES
        }
        assert {page: answer.status for page, answer in answers.items()} == dict.fromkeys(PAGES, 403)
        for answer in answers.values():
            in_one_sentence(answer)
            assert answer.error["code"] == "cross-site"
    assert asked.untouched()
    assert len(asked.told) == 1
    assert asked.told[0].startswith(f"a web page on http://evil.example tried to use the {asked.name} and was refused")


async def test_programs_are_served(asked: Asked) -> None:
    answers = {page: (await asked.answer("Host: localhost:~", *page)).status for page in PROGRAMS}
    assert answers == dict.fromkeys(PROGRAMS, 200)
    assert asked.told == []


async def test_a_preflight_gets_no_permission(asked: Asked) -> None:
    answer = await asked.answer(
        "Host: 127.0.0.1:~",
        "Origin: http://localhost:3000",
        "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: authorization",
        "Access-Control-Request-Private-Network: true",
        method="OPTIONS",
    )
    assert answer.status == 403
    in_one_sentence(answer)
    assert asked.untouched()


async def test_a_web_socket_of_a_page_is_refused_before_the_switch(asked: Asked) -> None:
    upgrade = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + "A" * 24,
    )
    assert (await asked.answer("Host: localhost:~", *upgrade, "Origin: http://evil.example")).status == 403
    assert (await asked.answer("Host: evil.example:~", *upgrade, "Origin: http://evil.example:~")).status == 421
    assert asked.untouched()


async def test_a_web_socket_of_a_program_opens() -> None:
    async with server("gateway") as asked, aiohttp.ClientSession() as http:
        for headers in ({}, {"Origin": f"http://127.0.0.1:{asked.port}"}):
            async with http.ws_connect(f"ws://127.0.0.1:{asked.port}/", headers=headers) as socket:
                assert (await socket.receive_json())["event"] == "connect.challenge"


async def test_what_a_page_calls_itself_is_cleaned_and_cut(asked: Asked) -> None:
    page = "http://evil.example\x9b31m\xe2" + "x" * 5_000
    assert (await asked.answer("Host: localhost", f"Origin: {page}")).status == 403
    assert (
        await asked.answer("Host: localhost", f"Referer: {page}/secret?key=1", "Sec-Fetch-Site: cross-site")
    ).status == 403
    assert asked.told[0].isprintable()
    assert len(asked.told[0]) < 300


async def test_a_path_of_the_page_is_not_told(asked: Asked) -> None:
    referer = "Referer: http://me:secret@evil.example/secret?secret"
    answer = await asked.answer("Host: localhost", referer, "Sec-Fetch-Site: cross-site")
    assert "http://evil.example tried" in asked.told[0]
    assert "secret" not in asked.told[0] + answer.error["message"]


async def test_the_name_it_was_told_to_listen_on_is_its_own() -> None:
    """A machine may call itself by a name that resolves to loopback; no other machine's name becomes one by that."""
    for name in SERVERS:
        async with server(name, host="127.0.0.9") as asked:
            reader, writer = await asyncio.open_connection("127.0.0.9", asked.port)
            writer.write(f"GET {asked.path} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode())
            assert b" 421 " in await asyncio.wait_for(reader.readline(), 20)
            writer.close()


async def test_a_refusal_is_read_by_a_client_that_sends_its_whole_body_first(asked: Asked) -> None:
    """30 MB, more than the buffers on the way hold: the server must read them, or the answer is lost in a reset."""
    size = 30_000_000
    reader, writer = await asyncio.open_connection("127.0.0.1", asked.port)
    writer.write(f"POST /v1/chat/completions HTTP/1.1\r\nHost: evil.example\r\nContent-Length: {size}\r\n\r\n".encode())
    async with asyncio.timeout(60):
        for _ in range(size // 100_000):
            writer.write(bytes(100_000))
            await writer.drain()
        received = await reader.read()
    writer.close()
    assert received.startswith(b"HTTP/1.1 421 Misdirected Request\r\n")
    assert b"DNS rebinding" in received
    assert asked.untouched()


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
async def test_fetch_of_node_is_a_program(asked: Asked) -> None:
    """It says Sec-Fetch-Mode, as browsers do, but neither where it comes from nor what site that is."""
    code = "fetch(process.argv[1]).then(a => a.text().then(() => console.log(a.status)))"
    node = await asyncio.create_subprocess_exec(
        "node", "-e", code, f"http://localhost:{asked.port}{asked.path}", stdout=subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(node.communicate(), 60)
    assert said == b"200\n"


async def test_a_refused_head_has_no_body(asked: Asked) -> None:
    url, page = f"http://127.0.0.1:{asked.port}{asked.path}", {"Origin": "http://evil.example"}
    async with httpx.AsyncClient(trust_env=False) as client, aiohttp.ClientSession() as http:
        assert (await client.head(url, headers=page)).status_code == 403
        async with http.head(url, headers=page) as answer:  # which takes a byte too many for a broken answer
            assert (answer.status, answer.headers["Connection"]) == (403, "close")


async def test_httpx_and_aiohttp_are_programs(asked: Asked) -> None:
    url = f"http://127.0.0.1:{asked.port}{asked.path}"
    async with httpx.AsyncClient(trust_env=False) as client, aiohttp.ClientSession() as http:
        assert (await client.get(url)).status_code == 200
        async with http.get(url) as answer:
            assert answer.status == 200
