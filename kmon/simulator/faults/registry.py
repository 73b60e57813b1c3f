"""Which fault a request gets: named in a header, named by its model, or by a profile's rule."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from kmon.simulator.faults import base as faults
from kmon.simulator.faults import chunks as chunk_faults
from kmon.simulator.faults import content as content_faults
from kmon.simulator.faults import endings as ending_faults
from kmon.simulator.faults import frames as frame_faults
from kmon.simulator.faults import path as path_faults
from kmon.simulator.faults import silences as silence_faults
from kmon.simulator.faults.base import Fault
from kmon.simulator.wire import ServerDialect

HEADER = "x-kmon-fault"

FAULTS: dict[str, type[Fault]] = {
    str(fault.__struct_config__.tag): fault
    for fault in (
        faults.Smooth,
        faults.Stall,
        faults.StallWhenTools,
        faults.HangMidStream,
        faults.NoHeaders,
        faults.HeadersThenNothing,
        faults.KeepalivesOnly,
        faults.SlowFirstToken,
        faults.SlowBursts,
        faults.TruncatedNoFinish,
        faults.FinishWithoutDone,
        faults.ResetMidChunk,
        faults.ErrorIn200,
        faults.ErrorFirst,
        faults.RateLimited,
        faults.Http500,
        faults.MalformedFrame,
        faults.HeldUntilNext,
        faults.LingerAfterDone,
        faults.Html200,
        faults.Json200,
        faults.EmptyAnswer,
        faults.OnlyReasoning,
        frame_faults.ExceptionFrame,
        frame_faults.CrcError,
        frame_faults.HalfFrame,
        silence_faults.RepeatedStalls,
        silence_faults.Pauses,
        silence_faults.EmptyDeltas,
        silence_faults.EmptyDeltasThenContent,
        silence_faults.KeepalivesThenContent,
        silence_faults.SlowHeaders,
        silence_faults.SlowPrefillMute,
        silence_faults.ToolArgumentsNever,
        silence_faults.ToolArgumentsHeld,
        silence_faults.SlowingDown,
        silence_faults.SlowButSteady,
        silence_faults.Drip,
        ending_faults.CloseBeforeHeaders,
        ending_faults.ResetBeforeHeaders,
        ending_faults.NotHttp,
        ending_faults.Overloaded,
        ending_faults.UnknownModel,
        ending_faults.FinMidChunk,
        ending_faults.ContentLengthShort,
        ending_faults.SizedBody,
        ending_faults.PlainTextType,
        ending_faults.DoneWithoutFinish,
        ending_faults.UnframedError,
        content_faults.ToolArgumentsCut,
        content_faults.ToolArgumentsInvalid,
        content_faults.ToolArgumentsMisfit,
        content_faults.ToolArgumentsSpaced,
        content_faults.ToolNotOffered,
        content_faults.ToolMarkersLeaked,
        content_faults.FinishMismatch,
        content_faults.StopAfterToolCall,
        content_faults.RepetitionLoop,
        content_faults.RepetitiveTable,
        content_faults.EndlessReasoning,
        content_faults.LongReasoning,
        content_faults.OneWord,
        content_faults.TalksAboutErrors,
        content_faults.TalksAboutMarkers,
        chunk_faults.UsageMissing,
        chunk_faults.UsageUnannounced,
        chunk_faults.UsageOnFinish,
        chunk_faults.UsageOnEveryChunk,
        chunk_faults.UsageWrong,
        chunk_faults.HiddenReasoning,
        chunk_faults.WrongModel,
        chunk_faults.ModelAlias,
        chunk_faults.UpstreamSwitched,
        chunk_faults.UpstreamNamed,
        chunk_faults.DuplicateChunks,
        chunk_faults.ReorderedChunks,
        chunk_faults.SplitAnywhere,
        chunk_faults.CrLf,
        chunk_faults.MultiLineData,
        chunk_faults.ProxyBuffering,
        path_faults.HalfOpen,
        path_faults.NoCloseNotify,
        path_faults.PaddedStream,
        path_faults.GzipBuffered,
        path_faults.GzipFlushed,
        path_faults.BandwidthCap,
        path_faults.NarrowLink,
        path_faults.Jitter,
        path_faults.CaptiveRedirect,
        path_faults.ClockSkew,
        path_faults.ToolCallLoop,
    )
}
"""Every fault by its name."""

_IN_MODEL = re.compile(rf"(?<![a-z0-9])({'|'.join(sorted(FAULTS, key=len, reverse=True))})(?![a-z0-9])", re.IGNORECASE)
_RANGE = re.compile(r"(.+)\.\.(.+)")


class FaultError(ValueError):
    """A fault that does not exist or cannot be so; ``key`` is the member that is wrong."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def from_header(text: str) -> Fault:
    """The fault of a header value ``NAME[:key=value,...]``; a range is ``MIN..MAX``.

    Raises FaultError with a sentence that lists what exists.
    """
    name, _, parameters = text.strip().partition(":")
    pairs = [pair.partition("=") for pair in parameters.split(",") if pair.strip()]
    return read_fault({"fault": name.strip(), **{key.strip(): _value(value.strip()) for key, _, value in pairs}})


def from_model(model: str) -> Fault | None:
    """The fault whose name is a word of the model's name, as in ``sim/stall-when-tools``."""
    found = _IN_MODEL.search(model)
    return FAULTS[found[1].lower()]() if found else None


def check(fault: Fault | None, dialect: ServerDialect) -> None:
    """Raises FaultError when ``fault`` is one that ``dialect`` cannot have."""
    if fault is not None and (refused := fault.refusal(dialect)):
        raise FaultError("fault", refused)


def read_fault(members: dict[str, Any]) -> Fault:
    """The fault in a table ``{fault = NAME, parameter = value, ...}``. Raises FaultError."""
    name = members.get("fault")
    fault = FAULTS.get(name) if isinstance(name, str) else None
    if fault is None:
        raise FaultError("fault", f"unknown fault {name!r}; the faults are {', '.join(FAULTS)}")
    known = fault.__struct_fields__
    for key in members:
        if key != "fault" and key not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes no parameters"
            raise FaultError(key, f"fault {name} has no parameter {key!r}; {takes}")
    try:
        return msgspec.convert(members, fault)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).replace("`", "").partition(" - at $.")
        wrong = next(key for key in known if f"{place} {problem}".strip().startswith(key))
        problem = problem.removeprefix(f"{wrong} ")
        raise FaultError(wrong, f"fault {name}, {wrong}: {problem[:1].lower()}{problem[1:]}") from None


def _value(text: str) -> object:
    if span := _RANGE.fullmatch(text):
        return [_number(span[1]), _number(span[2])]
    return _number(text)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
