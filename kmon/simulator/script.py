"""What is sent and when, decided before the first byte leaves: a script is a tuple of frozen steps.

A healthy answer is a script; a fault is a function from script to script; the player only plays. So what a seed
does can be compared, and scaled by ``--speed``, without a socket or a clock. Times are seconds after the step before.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from kmon.simulator.http import Headers

SendKind = Literal[
    "role", "reasoning", "text", "tool", "block", "finish", "usage", "done", "comment", "error", "recorded"
]
PROGRESS: frozenset[SendKind] = frozenset({"reasoning", "text", "tool"})


class Head(Struct, frozen=True):
    """Status line and headers of a chunked response."""

    status: int
    headers: Headers
    after_s: float = 0.0


class Send(Struct, frozen=True):
    """One piece of the body, one HTTP chunk. ``text`` is what it adds to the visible answer."""

    data: bytes
    kind: SendKind
    after_s: float = 0.0
    text: str = ""


class Beat(Struct, frozen=True):
    """Keep-alives: ``data`` every ``every_s``, for ``duration_s`` or, when that is None, until the client leaves."""

    data: bytes
    every_s: float
    duration_s: float | None = None


class Hold(Struct, frozen=True):
    """Send nothing until the next message of the same conversation arrives."""


class Silence(Struct, frozen=True):
    """Send nothing and keep the connection open until the client leaves."""


class Reset(Struct, frozen=True):
    """Announce a chunk with ``data``, send half of it, and reset the connection ``after_s`` later."""

    data: bytes
    after_s: float = 0.05


class Raw(Struct, frozen=True):
    """Bytes as they are, outside of any framing: half a chunk, a response of one's own, what is no HTTP."""

    data: bytes
    after_s: float = 0.0


class Close(Struct, frozen=True):
    """Close the connection with FIN, whatever was promised."""

    after_s: float = 0.0


class Cut(Struct, frozen=True):
    """Close the connection at once ``after_s`` later, over TLS without saying so."""

    after_s: float = 0.05


class Deaf(Struct, frozen=True):
    """Acknowledge nothing any more, as a peer does that is gone; from here on only silence makes sense."""


class End(Struct, frozen=True):
    """End the chunked body properly; the connection may be used again."""

    after_s: float = 0.0


class Whole(Struct, frozen=True):
    """A complete response that is no stream."""

    status: int
    headers: Headers
    body: bytes
    after_s: float = 0.0


Step = Head | Send | Raw | Beat | Hold | Silence | Reset | Close | Cut | Deaf | End | Whole
Script = tuple[Step, ...]


def scaled(script: Script, speed: float) -> Script:
    """The same script ``speed`` times as fast; all ratios between times stay."""
    return tuple(_scaled(step, speed) for step in script)


def _scaled(step: Step, speed: float) -> Step:
    match step:
        case Beat():
            duration_s = None if step.duration_s is None else step.duration_s / speed
            return replace(step, every_s=step.every_s / speed, duration_s=duration_s)
        case Hold() | Silence() | Deaf():
            return step
        case _:
            return replace(step, after_s=step.after_s / speed)


def offsets(script: Script) -> tuple[float, ...]:
    """When each step happens, in seconds from the request, up to the first whose time is not the server's to know."""
    at_s, times = 0.0, []
    for step in script:
        match step:
            case Hold() | Silence() | Beat(duration_s=None):
                times.append(at_s)
                break
            case Beat(duration_s=float() as duration_s):
                times.append(at_s)
                at_s += duration_s
            case Deaf():
                times.append(at_s)
            case Head() | Send() | Raw() | Reset() | Close() | Cut() | End() | Whole():
                at_s += step.after_s
                times.append(at_s)
    return tuple(times)


def duration_s(script: Script) -> float:
    """Seconds from the request to the last step the server can time by itself."""
    times = offsets(script)
    return times[-1] if times else 0.0


def split(script: Script, after_tokens: int) -> tuple[Script, Script]:
    """Cut the script where ``after_tokens`` pieces of progress have been sent.

    An answer too short for that is cut in its middle, so that a fault meant for mid-stream still strikes mid-stream.
    An answer without progress is cut before its first piece after the role.
    """
    progress = [i for i, step in enumerate(script) if isinstance(step, Send) and step.kind in PROGRESS]
    if progress:
        cut = progress[after_tokens if after_tokens < len(progress) else len(progress) // 2]
    else:
        cut = next((i for i, s in enumerate(script) if isinstance(s, Send) and s.kind != "role"), len(script))
    return script[:cut], script[cut:]
