"""Ordinary clients, each as its users use it: ``python -m tests.bench.torture_clients CLIENT TIMEOUT_S GIVE_UP_S``.

Reads ``[base URL, fault]`` pairs as JSON from stdin, asks all of them at once, and prints their verdicts as a JSON
list: what a program that uses the client would see. Retries are the client's own; only the timeout is given. What
has not come back after GIVE_UP_S hangs: that clock starts when everything is imported.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any
from urllib.parse import urlsplit

FAULT_HEADER = "x-kmon-fault"
ASKED: dict[str, Any] = {
    "model": "moonshotai/Kimi-K2-Instruct-0905",
    "stream": True,
    "messages": [{"role": "user", "content": "Tell me how rivers find the sea."}],
}


async def ask_openai(base_url: str, fault: str, timeout_s: float) -> str:
    import openai

    deltas, finish = 0, None
    client = openai.AsyncOpenAI(base_url=base_url, api_key="none", timeout=timeout_s)
    try:
        async for chunk in await client.chat.completions.create(**ASKED, extra_headers={FAULT_HEADER: fault}):
            for choice in chunk.choices:
                deltas += bool(choice.delta.content)
                finish = choice.finish_reason or finish
    except Exception as error:  # the verdict is whatever it raises
        return f"{type(error).__name__} after {deltas} deltas"
    return f"no error, {deltas} deltas, finish {finish}"


async def ask_aiohttp(base_url: str, fault: str, timeout_s: float) -> str:
    import aiohttp

    taken, done = 0, False
    try:
        limits = aiohttp.ClientTimeout(sock_connect=timeout_s, sock_read=timeout_s)
        async with aiohttp.ClientSession(timeout=limits) as session:
            url, headers = f"{base_url}/chat/completions", {FAULT_HEADER: fault}
            async with session.post(url, json=ASKED, headers=headers) as answer:
                async for line in answer.content:
                    taken += len(line)
                    done = done or line.startswith(b"data: [DONE]")
                status = answer.status
    except Exception as error:
        return f"{type(error).__name__} after {taken} bytes"
    return f"no error, status {status}, {taken} bytes, {'[DONE] seen' if done else 'no [DONE]'}"


async def ask_curl(base_url: str, fault: str, timeout_s: float) -> str:
    """curl has no read timeout of its own, and is given none; ``--connect-timeout`` is."""
    command = ["curl", "-sN", "-o", os.devnull, "-w", "status %{http_code}, %{size_download} bytes"]
    command += ["--connect-timeout", str(timeout_s), "-H", f"{FAULT_HEADER}: {fault}"]
    command += ["-H", "content-type: application/json", "-d", json.dumps(ASKED), f"{base_url}/chat/completions"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return f"exit {process.returncode}, {said.decode()}"


async def ask_reading_nothing(base_url: str, fault: str, timeout_s: float) -> str:
    """Sends its request and never reads: what a client does whose own loop is blocked."""
    parts = urlsplit(base_url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    body = json.dumps(ASKED).encode()
    head = (
        f"POST {parts.path}/chat/completions HTTP/1.1\r\nhost: localhost\r\nuser-agent: reads-nothing/1\r\n"
        f"{FAULT_HEADER}: {fault}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await asyncio.sleep(timeout_s)
    writer.transport.abort()
    return f"read nothing for {timeout_s:g} s"


ASK = {"openai": ask_openai, "aiohttp": ask_aiohttp, "curl": ask_curl, "reads-nothing": ask_reading_nothing}


async def ask_all(client: str, pairs: list[tuple[str, str]], timeout_s: float, give_up_s: float) -> None:
    if client in ("openai", "aiohttp"):
        __import__(client)
    tasks = [asyncio.create_task(ASK[client](base_url, fault, timeout_s)) for base_url, fault in pairs]
    await asyncio.wait(tasks, timeout=give_up_s)
    said = [task.result() if task.done() else f"HANGS, ended from outside after {give_up_s:g} s" for task in tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps(said))


if __name__ == "__main__":
    name, timeout, give_up = sys.argv[1:]
    asyncio.run(ask_all(name, json.load(sys.stdin), float(timeout), float(give_up)))
