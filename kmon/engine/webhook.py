"""The POST request to the webhook of an alert. Imported on first use: else the front end needs no httpx."""

from __future__ import annotations

import httpx

from kmon.transport.authorities import authorities
from kmon.transport.proxy import proxy_for


class UnreachableError(Exception):
    """There was no answer; the message is the kind of the error, without the URL, which may hold a secret."""


async def status_of(url: str, body: bytes) -> int:
    """The HTTP status of a POST. Redirects are not followed, the body is not read, and ``.netrc`` is not used.

    Raises :class:`UnreachableError`.
    """
    try:
        async with httpx.AsyncClient(
            trust_env=False, proxy=proxy_for(url), follow_redirects=False, timeout=None, verify=authorities()
        ) as client:
            headers = {"Content-Type": "application/json"}
            async with client.stream("POST", url, content=body, headers=headers) as answer:
                return answer.status_code
    except (httpx.HTTPError, OSError) as error:
        raise UnreachableError(type(error).__name__) from error
