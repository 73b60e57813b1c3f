"""One request by an ordinary client, and its verdict in a line: run as ``python -m tests.bench.torture_clients``.

Arguments: client, base URL, fault, timeout in seconds. The client is used as its users use it, retries included; only
the timeout is given, so that the whole bench ends. Prints what a program that uses the client would see.
"""

from __future__ import annotations

import asyncio
import json
import sys

FAULT_HEADER = "x-kmon-fault"
ASKED = {
    "model": "moonshotai/Kimi-K2.6",
    "stream": True,
    "messages": [{"role": "user", "content": "Tell me how rivers find the sea."}],
}


def ask_openai(base_url: str, fault: str, timeout_s: float) -> str:
    import openai

    client = openai.OpenAI(base_url=base_url, api_key="none", timeout=timeout_s)
    words, finish = 0, None
    try:
        stream = client.chat.completions.create(**ASKED, extra_headers={FAULT_HEADER: fault})  # type: ignore[call-overload]
        for chunk in stream:
            for choice in chunk.choices:
                words += bool(choice.delta.content)
                finish = choice.finish_reason or finish
    except Exception as error:  # the verdict is whatever it raises
        return f"{type(error).__name__} after {words} deltas"
    return f"no error, {words} deltas, finish {finish}"


async def ask_aiohttp(base_url: str, fault: str, timeout_s: float) -> str:
    import aiohttp

    taken, done = 0, False
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_read=timeout_s)) as session:
            url, headers = f"{base_url}/chat/completions", {FAULT_HEADER: fault}
            async with session.post(url, json=ASKED, headers=headers) as answer:
                async for line in answer.content:
                    taken += len(line)
                    done = done or line.startswith(b"data: [DONE]")
                status = answer.status
    except Exception as error:
        return f"{type(error).__name__} after {taken} bytes"
    return f"no error, status {status}, {taken} bytes, {'[DONE] seen' if done else 'no [DONE]'}"


async def ask_mute_reader(base_url: str, fault: str, timeout_s: float) -> str:
    """Sends its request and never reads: what a client does whose own loop is blocked."""
    from urllib.parse import urlsplit

    parts = urlsplit(base_url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1)
    body = json.dumps(ASKED).encode()
    head = (
        f"POST {parts.path}/chat/completions HTTP/1.1\r\nhost: sim\r\nuser-agent: reads-nothing/1\r\n"
        f"{FAULT_HEADER}: {fault}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(timeout_s)
    writer.transport.abort()
    return f"read nothing for {timeout_s:g} s"


def main() -> int:
    client, base_url, fault, timeout = sys.argv[1:]
    match client:
        case "openai":
            print(ask_openai(base_url, fault, float(timeout)))
        case "aiohttp":
            print(asyncio.run(ask_aiohttp(base_url, fault, float(timeout))))
        case _:
            print(asyncio.run(ask_mute_reader(base_url, fault, float(timeout))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
