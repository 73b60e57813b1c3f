"""On which side a gateway's run hangs: the known diagnoses as data, and the rules as one pure function.

Evidence has three vantage points. The provider's side shows what the provider sent, the agent's events what the gateway
did with it, the chat events what a chat program got. The gateway's own word for an error (``errorKind``) is no cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct

from kmon.catalog.toml_source import parse_toml
from kmon.openclaw.snapshot import Snapshot

STALL_S = 5.0


class DiagnosisText(Struct, frozen=True, forbid_unknown_fields=True):
    """What is known about one diagnosis: what the vantage points show, who it is, what to do, what must be watched."""

    seen: str
    means: str
    do: str
    needs: str


@cache
def diagnoses() -> dict[str, DiagnosisText]:
    """Every diagnosis by its name, in the order of ``diagnoses.toml``."""
    source = parse_toml(Path("diagnoses.toml"), files("kmon.openclaw").joinpath("diagnoses.toml").read_text("utf-8"))
    found = {}
    for name, table in source.table["diagnoses"].items():
        try:
            found[name] = msgspec.convert(table, DiagnosisText)
        except msgspec.ValidationError as error:
            raise source.invalid(["diagnoses", name], error, DiagnosisText.__struct_fields__) from None
    return found


@dataclass(frozen=True, slots=True)
class GatewayDiagnosis:
    """A name of ``diagnoses.toml`` and its evidence: one sentence with figures."""

    name: str
    sentence: str

    @property
    def advice(self) -> str:
        """What to do now."""
        return diagnoses()[self.name].do


def diagnose(now: Snapshot, *, stall_s: float = STALL_S) -> GatewayDiagnosis | None:
    """The side on which the run hangs; None when nothing hangs. The first rule that applies decides."""
    run = now.run
    if now.gone and (run.open or run.waiting):
        return GatewayDiagnosis(
            "gateway-stopped", f"the gateway stopped while run {run.short} was open, {now.open_s:.0f} s in"
        )
    if not now.ticking and not now.gone:
        return GatewayDiagnosis("gateway-event-loop", f"nothing for {now.link_s:.0f} s, not even a tick")
    if now.ahead:
        told = "; its final was empty" if run.empty_final else ""
        return GatewayDiagnosis("queued-follow-up", f"message {run.short} waits behind run {now.ahead}{told}")
    if run.open and now.queued:
        return _queued(now, stall_s)
    if run.silent_retry and not run.answered:
        return _lost(now)
    if run.open:
        return _silent(now, stall_s)
    if run.waiting and now.open_s >= stall_s:
        return GatewayDiagnosis(
            "gateway-stuck", f"message {run.short} was taken {now.open_s:.0f} s ago and nothing began"
        )
    if run.answered and now.claim is not None and now.claim.busy and now.claim_s >= stall_s:
        return GatewayDiagnosis(
            "client", f"run {run.short} was answered; the chat program shows {now.claim} all the same"
        )
    return None


def _queued(now: Snapshot, stall_s: float) -> GatewayDiagnosis:
    """A false idle, and what the open run waits for."""
    run, beneath = now.run, _silent(now, stall_s)
    sentence = (
        f"message {', '.join(now.queued)} got an empty final while run {run.short} is open {now.open_s:.0f} s, "
        f"last frame {now.frame_s:.0f} s ago"
    )
    return GatewayDiagnosis("queued-follow-up", sentence + (f"; beneath it: {beneath.sentence}" if beneath else ""))


def _lost(now: Snapshot) -> GatewayDiagnosis:
    run = now.run
    told = f"the chat was told {run.chat} ({run.error})" if run.error else f"the chat was told {run.chat}"
    if run.unseen_chars:
        return GatewayDiagnosis(
            "chat-link-lost", f"{told}, then run {run.short} said {run.unseen_chars} characters unheard"
        )
    return GatewayDiagnosis("chat-link-lost", f"{told}, and run {run.short} goes on all the same (try {run.tries})")


def _silent(now: Snapshot, stall_s: float) -> GatewayDiagnosis | None:
    """Why an open run is silent."""
    run, provider, quiet = now.run, now.provider, f"{now.quiet_s:.0f} s"
    if now.quiet_s < stall_s:
        return None
    if run.failed_try or run.status == "retrying":
        return GatewayDiagnosis(
            "gateway-retrying", f"try {run.tries} of run {run.short} failed; the gateway tries again"
        )
    if (tool := run.open_tool) is not None:
        return GatewayDiagnosis("gateway-stuck", f"run {run.short} waits for its tool {tool.name}, {now.tool_s:.0f} s")
    if run.lifecycle == "finishing":
        return GatewayDiagnosis(
            "gateway-stuck", f"the model of run {run.short} has ended, and the run has not, {quiet} later"
        )
    match provider.state:
        case "silent":
            how = f"after {provider.chunks} chunks" if provider.chunks else "before its first"
            return GatewayDiagnosis(
                "provider-stall", f"the provider is silent for {provider.silent_s:.0f} s, {how}; ticks go on"
            )
        case "flowing":
            sentence = f"the provider sent {provider.chunks} chunks and still sends; the agent is silent for {quiet}"
            return GatewayDiagnosis("adapter-buffering", sentence)
        case "finished":
            sentence = f"the provider finished {provider.ended_s:.0f} s ago; run {run.short} is silent for {quiet}"
            return GatewayDiagnosis("gateway-stuck", sentence)
        case "none":
            return GatewayDiagnosis(
                "gateway-stuck", f"run {run.short} is open {now.open_s:.0f} s and no provider was asked"
            )
        case _:
            sentence = (
                f"run {run.short} is silent for {quiet}, ticks go on; cannot tell without the provider's side "
                "whether it is provider-stall or adapter-buffering"
            )
            if now.tools_hidden:
                sentence += " (or a tool: this release shows tools to the sender alone)"
            return GatewayDiagnosis("cannot-tell", sentence)
