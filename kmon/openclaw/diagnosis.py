"""On which side a gateway's run hangs, told from three vantage points: a table as one pure function.

The provider's side says what it sent, the agent's events what the gateway made of it, the chat events what a chat
program was told. The gateway's own word for an error (``errorKind``) is never taken for a cause.
"""

from __future__ import annotations

from dataclasses import dataclass

from kmon.openclaw.diagnoses import diagnoses
from kmon.openclaw.snapshot import Snapshot

STALL_S = 5.0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A name of ``openclaw/diagnoses.toml`` and what is seen here, with figures."""

    name: str
    sentence: str

    @property
    def advice(self) -> str:
        """What to do now."""
        return diagnoses()[self.name].do


def diagnose(seen: Snapshot, *, stall_s: float = STALL_S) -> Diagnosis | None:
    """Name the side; None when nothing hangs. Later rows are only reached where the earlier ones say nothing."""
    run = seen.run
    if seen.gone and (run.open or run.waiting):
        return Diagnosis(
            "gateway-stopped", f"the gateway stopped while run {run.short} was open, {seen.open_s:.0f} s in"
        )
    if not seen.ticking and not seen.gone:
        return Diagnosis("gateway-event-loop", f"nothing for {seen.link_s:.0f} s, not even a tick")
    if seen.ahead:
        told = "; its final was empty" if run.empty_final else ""
        return Diagnosis("queued-follow-up", f"message {run.short} waits behind run {seen.ahead}{told}")
    if run.open and seen.queued:
        return _queued(seen, stall_s)
    if run.silent_retry and not run.answered:
        return _lost(seen)
    if run.open:
        return _silent(seen, stall_s)
    if run.waiting and seen.open_s >= stall_s:
        return Diagnosis("gateway-stuck", f"message {run.short} was taken {seen.open_s:.0f} s ago and nothing began")
    if run.answered and seen.claim is not None and seen.claim.busy and seen.claim_s >= stall_s:
        return Diagnosis("client", f"run {run.short} was answered; the chat program shows {seen.claim} all the same")
    return None


def _queued(seen: Snapshot, stall_s: float) -> Diagnosis:
    """A false idle, and what the run in front waits for."""
    run, beneath = seen.run, _silent(seen, stall_s)
    sentence = (
        f"message {', '.join(seen.queued)} got an empty final while run {run.short} is open {seen.open_s:.0f} s, "
        f"last frame {seen.frame_s:.0f} s ago"
    )
    return Diagnosis("queued-follow-up", sentence + (f"; beneath it: {beneath.sentence}" if beneath else ""))


def _lost(seen: Snapshot) -> Diagnosis:
    run = seen.run
    told = f"the chat was told {run.chat} ({run.error})" if run.error else f"the chat was told {run.chat}"
    if run.unseen_chars:
        return Diagnosis("chat-link-lost", f"{told}, then run {run.short} said {run.unseen_chars} characters unheard")
    return Diagnosis("chat-link-lost", f"{told}, and run {run.short} goes on all the same (try {run.tries})")


def _silent(seen: Snapshot, stall_s: float) -> Diagnosis | None:
    """Why an open run says nothing."""
    run, provider, quiet = seen.run, seen.provider, f"{seen.quiet_s:.0f} s"
    if seen.quiet_s < stall_s:
        return None
    if run.failed_try or run.status == "retrying":
        return Diagnosis("gateway-retrying", f"try {run.tries} of run {run.short} failed; the gateway tries again")
    if (tool := run.open_tool) is not None:
        return Diagnosis("gateway-stuck", f"run {run.short} waits for its tool {tool.name}, {seen.tool_s:.0f} s")
    if run.lifecycle == "finishing":
        return Diagnosis("gateway-stuck", f"the model of run {run.short} has ended, and the run has not, {quiet} later")
    match provider.state:
        case "silent":
            how = f"after {provider.chunks} chunks" if provider.chunks else "before its first"
            return Diagnosis(
                "provider-stall", f"the provider is silent for {provider.silent_s:.0f} s, {how}; ticks go on"
            )
        case "flowing":
            sentence = f"the provider sent {provider.chunks} chunks and still sends; the agent is silent for {quiet}"
            return Diagnosis("adapter-buffering", sentence)
        case "finished":
            sentence = f"the provider finished {provider.ended_s:.0f} s ago; run {run.short} is silent for {quiet}"
            return Diagnosis("gateway-stuck", sentence)
        case "none":
            return Diagnosis("gateway-stuck", f"run {run.short} is open {seen.open_s:.0f} s and no provider was asked")
        case _:
            sentence = (
                f"run {run.short} is silent for {quiet}, ticks go on; cannot tell without the provider's side "
                "whether it is provider-stall or adapter-buffering"
            )
            if seen.tools_hidden:
                sentence += " (or a tool: this release shows tools to the sender alone)"
            return Diagnosis("cannot-tell", sentence)
