"""What kind a frame is, and a conversation as the sequence of its kinds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Frame = dict[str, Any]
NOISE = ("health", "presence", "tick", "chat.metadata.changed")
TEXT = ("agent:assistant", "chat:delta")


def kind(frame: Frame) -> str:
    """The kind of an event or request, without the run it is about."""
    if frame["type"] == "req":
        return f"req:{frame['method']}"
    payload, event = frame["payload"], frame["event"]
    if event == "chat":
        phase = f".{payload['phase']}" if "phase" in payload else ""
        empty = "(empty)" if payload["state"] == "final" and "message" not in payload else ""
        return f"chat:{payload['state']}{phase}{empty}"
    if event == "agent":
        data = payload.get("data", {})
        marks = [data[name] for name in ("kind", "phase") if data.get(name)]
        return ".".join([f"agent:{payload['stream']}", *marks])
    return str(event)


def sequence(frames: Iterable[Frame], session: str) -> list[tuple[str, str]]:
    """Pairs of kind and run, a stretch of text as one, of one session; runs are numbered as they appear.

    How many pieces a text came in, and which of them made a chat event, is the provider's and the clock's affair:
    agent text and chat deltas are one kind, ``text``, unless there was no chat delta at all in the stretch.
    """
    runs: dict[str, str] = {}
    asked: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for frame in frames:
        if frame["type"] == "req":
            asked[frame["id"]] = frame["method"]
        if frame["type"] == "res":
            said, run = f"res:{asked[frame['id']]}:{'ok' if frame['ok'] else 'refused'}", ""
        else:
            said = kind(frame)
            run = (frame.get("payload") or {}).get("runId", "")
        if said in NOISE or not _of(frame, session, run, runs):
            continue
        name = runs.setdefault(run, f"run {len(runs)}") if run else ""
        _append(found, said, name)
    return found


def _of(frame: Frame, session: str, run: str, runs: dict[str, str]) -> bool:
    """Whether the frame is about the session; a run that has forgotten its session is known by its id."""
    if frame["type"] != "event" or frame["event"] not in ("chat", "agent"):
        return True
    key = frame["payload"].get("sessionKey")
    return key == session if key is not None else run in runs


def _append(found: list[tuple[str, str]], said: str, run: str) -> None:
    """A text that goes on after a request crossed it is the same text still."""
    place = next((i for i in reversed(range(len(found))) if not found[i][0].startswith(("req:", "res:"))), None)
    if said in TEXT and place is not None and found[place][1] == run:
        before = found[place][0]
        if before in TEXT and before != said:
            found[place] = ("text", run)
        if before in (*TEXT, "text"):
            return
    if not found or found[-1] != (said, run):
        found.append((said, run))
