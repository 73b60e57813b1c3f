"""Classifies failed attempts: may they be retried, may they fall back, and after what wait. Pure.

Only the ending of an attempt counts, not its content: a finished answer is never requested again, whatever its content,
and nothing follows an attempt that the user cancelled.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from kmon.dialects.delta import StreamError
from kmon.retry.policy import Cause, Policy
from kmon.stream.events import Ending

BY_STATUS: dict[int, Cause] = {
    408: "timeout",  # OpenRouter, Fireworks: processing took too long
    409: "server-error",  # a lock conflict; SDKs retry it
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
"""Transient statuses. All others would fail again, because of the request (400), the key (401, 403), the account (402)
or the model (404)."""

REQUEST_FAULTS = frozenset({400, 413, 414, 415, 422})
"""Statuses caused by the request: another target would refuse it as well, and a fallback would hide that."""

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
"""Transient kinds of error. ``tls`` and ``credentials`` do not change by themselves, ``protocol`` and ``not-a-stream``
mean a server without this dialect, ``not-sent`` was never sent, and ``internal`` is a bug of kmon."""

BY_CLOSE_CODE: dict[str, Cause] = {
    "1001": "connection",  # going away: the server or a proxy shuts down
    "1006": "connection",  # no close frame: as a reset
    "1011": "server-error",
    "1012": "connection",  # a restart
    "1013": "server-error",  # overloaded, try again later
}
"""Transient close codes of a WebSocket. The others would come again: 1008 forbids, 1009 finds the request too big."""

TARGET_SPECIFIC = frozenset({"tls", "wrong-clock", "blocked-here", "credentials", "protocol", "not-a-stream"})
"""Kinds that a retry at this target does not change, but another target may."""

USED_UP = ("insufficient_quota", "exceeded_current_quota", "billing", "usage_limit", "payment")
"""Parts of a 429's error code that mean an exhausted quota, which no wait of seconds restores, not a rate limit."""
REFUSED = ("invalid_request", "validation", "authentication", "permission", "accessdenied", "not_found")
"""Parts of codes of in-stream errors without status that mean a permanent refusal."""
OVERLOADED = ("rate_limit", "ratelimit", "throttl", "too_many")


def cause_of(state: Ending, error: StreamError | None) -> Cause | None:
    """The cause by which an attempt may be retried at the same target; None if it may not."""
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
    if error.kind == "websocket-closed":
        return BY_CLOSE_CODE.get(code)
    return BY_KIND.get(error.kind)


def may_fall_back(state: Ending, error: StreamError | None) -> bool:
    """Whether to try another target: after transient failures, and after those specific to this target."""
    if cause_of(state, error) is not None:
        return True
    if state != "failed" or error is None:
        return False
    if error.kind == "http" or (error.kind == "in-stream" and error.status is not None):
        return error.status not in REQUEST_FAULTS
    return error.kind in TARGET_SPECIFIC


class Wait(NamedTuple):
    """How long to wait, and the source of the delay in words; empty for plain backoff."""

    delay_s: float
    words: str = ""


def wait(policy: Policy, number: int, asked_s: float | None, random: Random) -> Wait:
    """The wait before the ``number``-th retry (from 1).

    Full jitter: a random time between 0 and a bound that doubles up to the cap. A ``Retry-After`` of ``asked_s`` is the
    minimum, plus jitter so that the runs of a race do not all return at once; the cap bounds it, since a server may
    ask for a day.
    """
    bound_s = min(policy.retry_cap_s, policy.retry_base_s * 2.0 ** min(number - 1, 60))
    if asked_s is None:
        return Wait(random.uniform(0.0, bound_s))
    if asked_s > policy.retry_cap_s:
        return Wait(policy.retry_cap_s, f"Retry-After {asked_s:.6g} s cut to {policy.retry_cap_s:g} s")
    jitter_s = random.uniform(0.0, min(bound_s, policy.retry_base_s))
    return Wait(min(policy.retry_cap_s, asked_s + jitter_s), "Retry-After")


def reason(error: StreamError | None, signature: str | None) -> str:
    """Why an attempt failed, in a few words; never quotes the server."""
    if error is not None and error.kind == "http":
        return f"HTTP {error.status}"
    if error is not None and error.kind == "timeout":
        return error.message
    status = f" {error.status}" if error is not None and error.kind == "in-stream" and error.status else ""
    return (signature or (error.kind if error is not None else "no end")) + status
