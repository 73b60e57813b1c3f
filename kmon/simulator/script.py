"""The steps of a response, with the time of each: a script is a tuple of them.

``script_builder.py`` makes a script from a request, a fault changes it, ``script_sender.py`` sends it. So scripts can
be compared, and scaled by ``--speed``, without a socket or a clock. ``after_s`` is seconds after the step before.
"""

from __future__ import annotations

from typing import Literal, TypeGuard

from msgspec import Struct
from msgspec.structs import replace

from kmon.simulator.http import Headers

SendKind = Literal[
    "role", "reasoning", "text", "tool", "block", "hidden", "finish", "usage", "done", "comment", "error", "recorded"
]
"""What a piece brings. ``hidden`` ends work that sent no output."""
PROGRESS: frozenset[SendKind] = frozenset({"reasoning", "text", "tool"})


class SendHead(Struct, frozen=True):
    """Status line and headers of a chunked response."""

    status: int
    headers: Headers
    after_s: float = 0.0


class SendChunk(Struct, frozen=True):
    """One piece of the body, one HTTP chunk. ``text`` is what it adds to the visible answer."""

    data: bytes
    kind: SendKind
    after_s: float = 0.0
    text: str = ""


class KeepAlives(Struct, frozen=True):
    """Send ``data`` every ``every_s``, for ``duration_s`` or, when that is None, until the client leaves."""

    data: bytes
    every_s: float
    duration_s: float | None = None


class Hold(Struct, frozen=True):
    """Send nothing until the next message of the same conversation arrives."""


class KeepOpen(Struct, frozen=True):
    """Send nothing and keep the connection open until the client leaves."""


class Reset(Struct, frozen=True):
    """Announce a chunk with ``data``, send half of it, and reset the connection ``after_s`` later."""

    data: bytes
    after_s: float = 0.05


class Raw(Struct, frozen=True):
    """Bytes without HTTP framing: half a chunk, a response with its own head, another protocol."""

    data: bytes
    after_s: float = 0.0


class Close(Struct, frozen=True):
    """Close the connection with FIN, even in the middle of a body."""

    after_s: float = 0.0


class CloseFrame(Struct, frozen=True):
    """Close a WebSocket with this code, then its connection."""

    code: int
    reason: str = ""
    after_s: float = 0.0


class Cut(Struct, frozen=True):
    """Close the connection ``after_s`` later, over TLS without close_notify."""

    after_s: float = 0.05


class DropInput(Struct, frozen=True):
    """Stop acknowledging what the client sends, like a peer that vanished. Only ``KeepOpen`` makes sense after it."""


class EndBody(Struct, frozen=True):
    """End the chunked body properly; the connection may be used again."""

    after_s: float = 0.0


class Whole(Struct, frozen=True):
    """A complete response with a Content-Length."""

    status: int
    headers: Headers
    body: bytes
    after_s: float = 0.0


Step = (
    SendHead
    | SendChunk
    | Raw
    | KeepAlives
    | Hold
    | KeepOpen
    | Reset
    | Close
    | CloseFrame
    | Cut
    | DropInput
    | EndBody
    | Whole
)
Script = tuple[Step, ...]


def scaled(script: Script, speed: float) -> Script:
    """The same script ``speed`` times as fast; all ratios between times stay."""
    return tuple(_scaled(step, speed) for step in script)


def _scaled(step: Step, speed: float) -> Step:
    match step:
        case KeepAlives():
            duration_s = None if step.duration_s is None else step.duration_s / speed
            return replace(step, every_s=step.every_s / speed, duration_s=duration_s)
        case Hold() | KeepOpen() | DropInput():
            return step
        case _:
            return replace(step, after_s=step.after_s / speed)


def offsets(script: Script) -> tuple[float, ...]:
    """Times of the steps in s from the request, up to the first step whose end depends on the client."""
    at_s, times = 0.0, []
    for step in script:
        match step:
            case Hold() | KeepOpen() | KeepAlives(duration_s=None):
                times.append(at_s)
                break
            case KeepAlives(duration_s=float() as duration_s):
                times.append(at_s)
                at_s += duration_s
            case DropInput():
                times.append(at_s)
            case SendHead() | SendChunk() | Raw() | Reset() | Close() | CloseFrame() | Cut() | EndBody() | Whole():
                at_s += step.after_s
                times.append(at_s)
    return tuple(times)


def duration_s(script: Script) -> float:
    """Seconds from the request to the last of :func:`offsets`."""
    times = offsets(script)
    return times[-1] if times else 0.0


def is_progress(step: Step) -> TypeGuard[SendChunk]:
    """Whether the step sends reasoning, text or tool arguments."""
    return isinstance(step, SendChunk) and step.kind in PROGRESS


def split(script: Script, after_tokens: int) -> tuple[Script, Script]:
    """Cut the script where ``after_tokens`` pieces of progress have been sent.

    A shorter answer is cut in its middle, so that a mid-stream fault is still in mid-stream. An answer without
    progress is cut before its first piece after the role.
    """
    progress = [i for i, step in enumerate(script) if is_progress(step)]
    if progress:
        cut = progress[after_tokens if after_tokens < len(progress) else len(progress) // 2]
    else:
        cut = next((i for i, s in enumerate(script) if isinstance(s, SendChunk) and s.kind != "role"), len(script))
    return script[:cut], script[cut:]
