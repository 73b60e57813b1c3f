"""``kmon decode`` of a gateway's recording: one object per run of every session, and where it hangs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import StreamError, Usage
from kmon.dialects.sockets import OpenClawGateway
from kmon.dialects.text import clean
from kmon.openclaw.diagnosis import diagnose
from kmon.openclaw.protocol.run import GatewayRun
from kmon.openclaw.recording import Moment, Playback
from kmon.openclaw.snapshot import take_snapshot
from kmon.recording.decode import Decoded, fit, fit_call, fit_error


class DecodedRun(Decoded, frozen=True, omit_defaults=False):
    """A run of a gateway in the shape of every decoded stream, with the fields that only a gateway has.

    ``signature`` is the diagnosis at the end of the recording. ``done`` means that the chat got an answer, which an
    empty ``final`` is not. ``text`` is that of the last try.
    """

    run: str = ""
    session: str = ""
    origin: str = ""
    tries: int = 0
    open: bool = False
    diagnosis: str | None = None
    advice: str | None = None
    moments: tuple[Moment, ...] = ()
    """Every stretch in which it hung, also those that ended."""


def decode_runs(file: str, lines: Sequence[dict[str, Any]]) -> list[DecodedRun]:
    """Every run of a recording, in the order of their first frames, in its state at the end."""
    played, transcripts = Playback(lines), dict[str, Transcript]()
    for change in played.changes:
        if change.run is not None and change.delta is not None:
            transcripts.setdefault(change.run.id, Transcript()).add(change.delta)
    found = []
    for index, run in enumerate(played.tracker.runs.values()):
        named = diagnose(take_snapshot(played.tracker, run, played.end_ns, closed=played.gone))
        decoded = _decoded(file, index, run, transcripts.get(run.id) or Transcript())
        found.append(
            structs.replace(
                decoded,
                signature=None if named is None else named.name,
                diagnosis=None if named is None else named.sentence,
                advice=None if named is None else named.advice,
                moments=tuple(played.moments.get(run.id, ())),
            )
        )
    return found


def _decoded(file: str, index: int, run: GatewayRun, transcript: Transcript) -> DecodedRun:
    error = transcript.error if run.chat in ("error", "aborted") else None
    if error is None and run.lifecycle == "error":
        error = StreamError("in-stream", run.error or "error", code=run.error_kind)
    return DecodedRun(
        file,
        index,
        OpenClawGateway.name,
        None,
        run.answer.text,
        "",
        tuple(map(fit_call, transcript.tool_calls)),
        fit(run.stop_reason) if run.stop_reason else "stop" if run.answered else None,
        None if run.output_tokens is None else Usage(None, run.output_tokens, None),
        run.answered,
        transcript.chunks,
        fit_error(error),
        None,
        run=fit(run.id),
        session=fit(run.session),
        origin=run.origin,
        tries=run.tries,
        open=run.open or run.waiting,
    )


def run_block(run: DecodedRun) -> str:
    """A few lines of text about a run, every string cleaned."""
    state = "open" if run.open else "answered" if run.done else "ended" if run.tries else "queued, then gone"
    lines = [
        f"{run.file} #{run.interaction}  openclaw  {run.session or '(no session)'}  run {run.run}",
        f"  {state}  finish {run.finish_reason or '-'}  {run.tries} {'try' if run.tries == 1 else 'tries'}"
        f"  {run.chunks} frames  {run.origin}",
    ]
    for moment in run.moments:
        span = f"{moment.from_s:.0f} s" if moment.from_s == moment.to_s else f"{moment.from_s:.0f}-{moment.to_s:.0f} s"
        lines.append(f"  at {span}  {moment.name}: {moment.sentence}; the TUI says {moment.claim}")
    if run.signature:
        lines += [f"  diagnosis {run.signature}: {run.diagnosis}", f"  do: {run.advice}"]
    if run.error:
        lines.append(f"  error {run.error.kind}: {run.error.message}")
    if run.text:
        lines.append("  text")
        lines += [f"    {line}" for line in run.text.split("\n")]
    lines += [f"  tool {call.name}({call.arguments})  {call.id}" for call in run.tool_calls]
    return "\n".join(clean(line) for line in lines) + "\n"
