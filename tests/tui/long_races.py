"""A race of thousands of small rounds that have ended, as events: what hours of racing leave behind."""

from __future__ import annotations

from scripted import MS, S, Script

from kmon.dialects.delta import StreamError
from kmon.stream import events as ev

ROUND_S = 1.0


def run_name(number: int) -> str:
    return f"r{number}.1"


def small_run(number: int, *, fails: bool = False, target: str = "together") -> Script:
    """One round of one run: a word, and the end."""
    at_s = (number - 1) * ROUND_S
    script = Script(run_name(number), target, round=number, scenario="code-tools").start(at_s)
    script.events[0] = ev.RunQueued(
        int(at_s * S), script.run, target, f"{target}/moonshotai/Kimi-K2.6", "code-tools", number, "chat"
    )
    script.say(at_s + 0.2, f"answer {number}", piece=20)
    error = StreamError("http", "HTTP 500: no", 500) if fails else None
    script.end(at_s + 0.4, "failed" if fails else "done", signature="http-error" if fails else None, error=error)
    ended = ev.RunEnded(
        int((at_s + 0.4) * S) + MS, script.run, target, 1, "failed" if fails else "done", None, "", error, 200.0,
        50.0, (), 1, f"answer {number}", "", (), "stop", None, "", {}, label=f"{target}/m", scenario="code-tools",
        round=number, duration_ms=400.0,
    )  # fmt: skip
    script.events.append(ended)
    return script


def open_run(number: int) -> Script:
    """A round that has begun and not ended."""
    script = small_run(number)
    script.events = [event for event in script.events if not isinstance(event, ev.RunEnded | ev.AttemptEnded)]
    return script
