"""Faults of this machine get their own names, and what another machine does never gets one of them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import errno
import json
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpcore
import pytest
import trustme

from kmon.dialects.delta import StreamError
from kmon.transport import errors
from kmon.transport.backend import StampingBackend
from kmon.transport.errors import stream_error

APART = ("unshare", "--net", "--map-root-user")
"""Starts a program in a network namespace of its own, where the network is what the test makes it."""


def _can_be_apart() -> bool:
    with contextlib.suppress(OSError):
        return subprocess.run([*APART, "ip", "link"], capture_output=True).returncode == 0
    return False


needs_namespaces = pytest.mark.skipif(not _can_be_apart(), reason="needs network namespaces and iproute2")


def python_apart(make: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments after the shell commands ``make`` have made the network."""
    command = [*APART, "sh", "-ec", f'{make}; exec "$@"', "sh", sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


async def failure_at(host: str, port: int, context: ssl.SSLContext | None = None) -> StreamError:
    backend = StampingBackend(lambda *_: None)
    with pytest.raises((httpcore.NetworkError, httpcore.TimeoutException)) as failed:
        stream = await backend.connect_tcp(host, port, 20)
        assert context is not None
        try:
            await stream.start_tls(context, "localhost", 20)
        finally:
            await stream.aclose()
    return stream_error(failed.value)


NO_FILES_LEFT = """
import asyncio, errno, os, resource, socket
from kmon.transport.backend import StampingBackend
from kmon.transport.connect import connect_first
from kmon.transport.errors import of_resolving, stream_error

async def tell(asked):
    try:
        (await asked).close()
        print("connected")
    except Exception as error:
        print(stream_error(error).kind, "ulimit -n" in stream_error(error).message)

async def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = (socket.AF_INET, socket.SOCK_STREAM, 0, "", server.getsockname())
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)  # loads what a lookup needs
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        await tell(connect_first([address], None))
        await tell(StampingBackend(lambda *_: None).connect_tcp("a-name-that-cannot-be.invalid", 80, 20))
        print(of_resolving(OSError(errno.EBUSY, "as glibc says")).error.kind)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await tell(connect_first([address], None))
        print(of_resolving(OSError(errno.EBUSY, "as glibc says")))

asyncio.run(main())
"""
"""Asks for a socket, for a name, and again for a socket when there are files once more."""


def test_no_file_for_a_socket_or_for_the_resolver_is_this_machines() -> None:
    """In a process of its own: what else lives in this one may close a file in the meantime, and then one is left."""
    done = subprocess.run(
        [sys.executable, "-c", NO_FILES_LEFT], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    told = ["out-of-files True", "out-of-files True", "out-of-files", "connected", "None"]
    assert done.stdout.splitlines() == told, done.stderr


async def test_a_refusal_is_not_this_machines() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert (await failure_at("127.0.0.1", port)).kind == "connect"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EMFILE, "out-of-files"),
        (errno.ENFILE, "out-of-files"),
        (errno.ENOBUFS, "out-of-memory"),
        (errno.ENOMEM, "out-of-memory"),
        (errno.EADDRNOTAVAIL, "no-local-port"),
        (errno.EACCES, "blocked-here"),
        (errno.EPERM, "blocked-here"),
    ],
)
def test_each_error_number_of_this_machine_has_its_name(number: int, kind: str) -> None:
    found = errors.of_connecting(OSError(number, "x"), socket.AF_INET, ("127.0.0.1", 1))
    assert found is not None
    assert found.error.kind == kind
    assert found.error.message.startswith("this machine ")


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.ETIMEDOUT])
def test_what_a_router_tells_though_there_is_a_route_is_not_this_machines(number: int) -> None:
    assert errors.of_connecting(OSError(number, "x"), socket.AF_INET, ("127.0.0.1", 1)) is None


def test_a_file_that_may_not_be_read_is_no_firewall() -> None:
    assert stream_error(PermissionError(errno.EACCES, "Permission denied")).kind == "network"


def test_a_resolver_that_says_there_is_no_such_name_is_not_this_machines() -> None:
    assert errors.of_resolving(socket.gaierror(socket.EAI_NONAME, "x")) is None


@pytest.mark.parametrize("listening", [True, False])
def test_a_resolver_on_this_machine_is_missed_where_nobody_listens(
    listening: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
        resolver.bind(("127.0.0.1", 0))
        monkeypatch.setattr(errors, "DNS_PORT", resolver.getsockname()[1])
        monkeypatch.setattr(errors, "RESOLVER_FILE", tmp_path / "resolv.conf")
        (tmp_path / "resolv.conf").write_text("# nobody\nnameserver 127.0.0.1\nsearch lan\n")
        if not listening:
            resolver.close()
        found = errors.of_resolving(socket.gaierror(socket.EAI_AGAIN, "x"))
    assert (found is None) == listening
    assert found is None or found.error.kind == "no-resolver"


@pytest.mark.parametrize(("days", "kind"), [((1, 2), "wrong-clock"), ((-2, -1), "tls"), ((-1, 1), None)])
async def test_a_certificate_of_tomorrow_is_a_clock_and_one_of_yesterday_may_be_one(
    days: tuple[int, int], kind: str | None
) -> None:
    authority = trustme.CA()
    now = datetime.datetime.now(datetime.UTC)
    first, last = (now + datetime.timedelta(days=day) for day in days)
    certificate = authority.issue_cert("localhost", not_before=first, not_after=last)
    serving, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    certificate.configure_cert(serving)
    authority.configure_trust(trusting)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=serving)
    async with server:
        port = server.sockets[0].getsockname()[1]
        if kind is None:
            stream = await StampingBackend(lambda *_: None).connect_tcp("127.0.0.1", port, 20)
            await (await stream.start_tls(trusting, "localhost", 20)).aclose()
            return
        error = await failure_at("127.0.0.1", port, trusting)
    assert error.kind == kind
    assert "this machine's clock" in error.message
    assert f"{now:%Y-%m}" in error.message


@needs_namespaces
@pytest.mark.parametrize(
    ("make", "url", "signature"),
    [
        ("true", "http://203.0.113.5", "no-route"),
        ("true", "http://example.com", "no-resolver"),
        ("ip link set lo up", "http://203.0.113.5", "no-route"),
        ("ip link set lo up; ip route add unreachable 203.0.113.0/24", "http://203.0.113.5", "no-route"),
        ("ip link set lo up; ip route add prohibit 203.0.113.0/24", "http://203.0.113.5", "blocked-here"),
        ("ip link set lo up", "http://127.0.0.1:9", "connect-failure"),
    ],
)
def test_a_machine_without_a_network_is_named(make: str, url: str, signature: str) -> None:
    done = python_apart(make, "-m", "kmon", "run", "--model", "m", "--base-url", url)
    assert done.returncode == 1, done.stderr
    assert f"{signature}: " in done.stdout
    assert ("this machine " in done.stdout) == (signature != "connect-failure")


TWO_ADDRESSES = """
import asyncio, socket
from kmon.transport.connect import connect_first
from kmon.transport.errors import stream_error

async def tell(*addresses):
    try:
        await connect_first([(socket.AF_INET, socket.SOCK_STREAM, 0, "", at) for at in addresses], None)
    except OSError as error:
        print(stream_error(error).kind)

refusing, nowhere = ("127.0.0.1", 9), ("203.0.113.5", 80)
for addresses in (refusing, nowhere), (nowhere, refusing), (nowhere, nowhere):
    asyncio.run(tell(*addresses))
"""


@needs_namespaces
def test_of_two_addresses_the_one_that_got_further_tells_why() -> None:
    """One that this machine has no route to beside one that refuses: the server is down, whatever is missing here."""
    done = python_apart("ip link set lo up", "-c", TWO_ADDRESSES)
    assert done.stdout.split() == ["connect", "connect", "no-route"], done.stderr


@needs_namespaces
def test_the_doctor_and_the_check_of_targets_say_that_it_is_this_machine() -> None:
    env = "export GROQ_API_KEY=none HOME=/nonexistent; cd /; ip link set lo up"
    for arguments in (("doctor", "groq", "--timeout", "5"), ("targets", "--check", "groq")):
        done = python_apart(env, "-m", "kmon", *arguments)
        assert done.returncode == 1, done.stderr
        assert "this machine has no resolver that it can reach" in done.stdout


@needs_namespaces
def test_a_test_counts_nothing_that_this_machine_could_not_ask() -> None:
    asked = ("--base-url", "http://203.0.113.5", "--model", "m", "--count", "2", "--json")
    done = python_apart("ip link set lo up", "-m", "kmon", "test", *asked)
    outcomes = [json.loads(line) for line in done.stdout.splitlines() if '"test_outcome"' in line]
    assert [outcome["outcome"] for outcome in outcomes] == ["not-asked"] * 2
