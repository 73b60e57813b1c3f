"""Endpoints on loopback for a doctor to examine: answers, certificates, and what was asked of them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import socket
import ssl
from collections.abc import AsyncIterator
from email.utils import formatdate

import trustme

from kmon.catalog.environment import Environment
from kmon.catalog.trust import Trust
from kmon.doctor.conclusion import DoctorFinding, TargetDiagnosis, conclusion, diagnose, findings
from kmon.doctor.examine import examine
from kmon.model import Target
from kmon.output.doctor import target_described, target_lines
from tests.support.loopback import Script

KEY = "sk-s3cr3t-0123456789"
ENV = Environment({}, {"TEST_KEY": KEY})


def target(base_url: str, *, model: str = "kimi-k2.6", key_env: tuple[str, ...] = ("TEST_KEY",), **more: str) -> Target:
    return Target(name="t", provider="t", model=model, base_url=base_url, key_env=key_env, **more)  # type: ignore[arg-type]


def response(body: bytes, status: str = "200 OK", *, date_s: float | None = None) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return f"{head}date: {formatdate(date_s, usegmt=True)}\r\n\r\n".encode() + body


def answering(body: bytes, status: str = "200 OK", *, date_s: float | None = None) -> Script:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(body, status, date_s=date_s))
        await writer.drain()

    return script


def models(*ids: str) -> bytes:
    return json.dumps({"object": "list", "data": [{"id": name} for name in ids]}).encode()


@contextlib.asynccontextmanager
async def guarded() -> AsyncIterator[tuple[str, list[str]]]:
    """An endpoint that lists its models to those who have the key; yields its URL and the heads of the requests."""
    heads: list[str] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        allowed = f"bearer {KEY}" in head or f"Bearer {KEY}" in head
        writer.write(response(models("kimi-k2.6")) if allowed else response(b"{}", "401 Unauthorized"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", heads
    finally:
        server.close()


def authority_and_context() -> tuple[trustme.CA, ssl.SSLContext]:
    """An authority, and a client's context that trusts it beside the usual ones."""
    authority, trusting = trustme.CA(organization_name="Test Authority"), ssl.create_default_context()
    authority.configure_trust(trusting)
    return authority, trusting


def server_side(authority: trustme.CA, host: str = "localhost", *, days: float = 300.0) -> ssl.SSLContext:
    """A server's context with a certificate for ``host`` that ends in so many days (below 0: has ended)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    now = datetime.datetime.now(datetime.UTC)
    authority.issue_cert(
        host, not_before=now - datetime.timedelta(days=30), not_after=now + datetime.timedelta(days=days)
    ).configure_cert(context)
    return context


async def examined(aim: Target, context: ssl.SSLContext | None = None, *, limit_s: float = 10.0) -> TargetDiagnosis:
    """One target's diagnosis; whatever is printed of it is checked to hold neither the key nor a control character."""
    if context is None:
        (diagnosis,) = await diagnose([aim], ENV, Trust(), limit_s, named=True)
    else:
        found = await examine(aim, ENV, Trust(), context, limit_s, named=True)
        now_s = datetime.datetime.now(datetime.UTC).timestamp()
        diagnosis = TargetDiagnosis(found, findings(found, now_s), now_s)
    printed = "\n".join(target_lines(diagnosis))
    assert KEY not in printed + repr(target_described(diagnosis))
    assert printed.replace("\n", "").isprintable()
    return diagnosis


def concluded(diagnosis: TargetDiagnosis) -> str:
    return conclusion(diagnosis.examined, diagnosis.findings)


def wrong(found: tuple[DoctorFinding, ...]) -> list[str]:
    return [finding.sentence for finding in found if finding.grade == "wrong"]


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port
