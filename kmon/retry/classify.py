"""What may be tried again and what may be tried elsewhere, and how long to wait before. Pure.

A failure is judged by how the attempt ended, not by what it said: an answer that came to its end is never asked for
again, whatever is wrong with its content, and nothing follows what the user cancelled.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from kmon.dialects.delta import StreamError
from kmon.retry.policy import Cause, Policy
from kmon.stream.events import Ending

BY_STATUS: dict[int, Cause] = {
    408: "timeout",  # OpenRouter, Fireworks: it took them too long
    409: "server-error",  # a lock was busy; SDKs try again
    425: "server-error",
    424: "server-error",  # Bedrock modelStreamErrorException: the model behind it failed
    429: "rate-limit",
    498: "rate-limit",  # Groq: no flex capacity
    500: "server-error",
    502: "server-error",
    503: "server-error",
    504: "server-error",
    520: "server-error",
    522: "server-error",
    524: "server-error",
    529: "server-error",  # Anthropic, Moonshot: overloaded
}
"""Statuses that pass. All others say something that will be as true the next time: 400 the request, 401 and 403 the
key, 402 the account, 404 the model."""

REQUEST_FAULTS = frozenset({400, 413, 414, 415, 422})
"""Statuses about what was sent: nobody else would like it better, and falling back would hide that."""

BY_KIND: dict[str, Cause] = {
    "dns": "connection",
    "connect": "connection",
    "reset": "connection",
    "cut": "connection",
    "network": "connection",
    "timeout": "timeout",
    "corrupt-frame": "cut-short",
    "out-of-files": "connection",
    "out-of-memory": "connection",
    "no-local-port": "connection",
    "no-route": "connection",
    "no-resolver": "connection",
}
"""Kinds of error that pass. ``tls`` and ``credentials`` stay as they are, ``protocol`` and ``not-a-stream`` are no
server of this dialect, ``not-sent`` never left, and ``internal`` is kmon's own fault."""

TARGET_SPECIFIC = frozenset({"tls", "wrong-clock", "blocked-here", "credentials", "protocol", "not-a-stream"})
"""Kinds that stay with this target and may be otherwise at another."""

USED_UP = ("insufficient_quota", "exceeded_current_quota", "billing", "usage_limit", "payment")
"""What codes of a 429 have in common that no wait of seconds helps against: the account's quota, not its rate."""
REFUSED = ("invalid_request", "validation", "authentication", "permission", "accessdenied", "not_found")
"""The same for errors inside a stream that carry no status."""
OVERLOADED = ("rate_limit", "ratelimit", "throttl", "too_many")


def cause_of(state: Ending, error: StreamError | None) -> Cause | None:
    """Why an attempt that ended so may be made again at the same target; None when it may not."""
    if state == "incomplete":
        return "cut-short"
    if state == "timed-out":
        return "timeout"
    if state != "failed" or error is None:
        return None
    code = (error.code or "").lower()
    if error.kind == "http":
        found = BY_STATUS.get(error.status or 0)
        return None if found == "rate-limit" and any(word in code for word in USED_UP) else found
    if error.kind == "in-stream":
        if error.status is not None and 400 <= error.status < 600:
            return BY_STATUS.get(error.status)
        if any(word in code for word in (*REFUSED, *USED_UP)):
            return None
        return "rate-limit" if any(word in code for word in OVERLOADED) else "server-error"
    return BY_KIND.get(error.kind)


def may_fall_back(state: Ending, error: StreamError | None) -> bool:
    """Whether another target may do better: after all that passes, and after what only this one refuses."""
    if cause_of(state, error) is not None:
        return True
    if state != "failed" or error is None:
        return False
    if error.kind == "http" or (error.kind == "in-stream" and error.status is not None):
        return error.status not in REQUEST_FAULTS
    return error.kind in TARGET_SPECIFIC


class Wait(NamedTuple):
    """How long to wait, and the words for where that comes from; empty for plain backoff."""

    delay_s: float
    words: str = ""


def wait(policy: Policy, number: int, asked_s: float | None, random: Random) -> Wait:
    """The wait before the ``number``-th retry (from 1).

    Full jitter: anything between 0 and a bound that doubles up to the cap. A ``Retry-After`` of ``asked_s`` is waited
    for at least, with jitter on top so that the runs of a race do not come back in the same instant, but never longer
    than the cap: a server may ask for a day.
    """
    bound_s = min(policy.retry_cap_s, policy.retry_base_s * 2.0 ** min(number - 1, 60))
    if asked_s is None:
        return Wait(random.uniform(0.0, bound_s))
    if asked_s > policy.retry_cap_s:
        return Wait(policy.retry_cap_s, f"Retry-After {asked_s:.6g} s cut to {policy.retry_cap_s:g} s")
    jitter_s = random.uniform(0.0, min(bound_s, policy.retry_base_s))
    return Wait(min(policy.retry_cap_s, asked_s + jitter_s), "Retry-After")


def reason(error: StreamError | None, signature: str | None) -> str:
    """Why the attempt before failed, in a few words of kmon's own; nothing here quotes the server."""
    if error is not None and error.kind == "http":
        return f"HTTP {error.status}"
    if error is not None and error.kind == "timeout":
        return error.message
    status = f" {error.status}" if error is not None and error.kind == "in-stream" and error.status else ""
    return (signature or (error.kind if error is not None else "no end")) + status
