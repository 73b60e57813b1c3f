"""Reads a recorded stream, with its times, into the object that ``kmon decode --json`` prints, but for its name."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET, Struct, UnsetType, structs

from kmon.dialects.assemble import Transcript
from kmon.dialects.bounds import (
    ID_LIMIT_CHARS,
    NAME_LIMIT_CHARS,
    QUOTED_LIMIT_CHARS,
    SENTENCE_LIMIT_CHARS,
    bounded,
    frame_text,
    one_line,
)
from kmon.dialects.delta import Delta, ServerTool, StreamError, ToolCall, Usage
from kmon.dialects.dialect import WireFormat
from kmon.dialects.error_words import reported
from kmon.dialects.http_answer import body_error, may_stream
from kmon.dialects.json_access import parsed
from kmon.dialects.one_answer import OneAnswer
from kmon.dialects.registry import wire_format
from kmon.dialects.text import clean
from kmon.recording.interaction import Interaction
from kmon.recording.pace import Gap
from kmon.recording.sniff import framing_of, is_stream


class Decoded(Struct, frozen=True):
    """A decoded stream. Text, reasoning, refusal and arguments are raw (hostile), other strings are clean and bounded.

    ``chunks`` is the number of data chunks, without comments and ``[DONE]``. The ``max_gap`` fields are there only
    where the recording has times: the longest time between two pieces of output, when it began (from the first event
    on), and how many chunks came before it.
    """

    file: str
    interaction: int
    dialect: str
    status: int | None
    text: str
    reasoning: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str | None
    usage: Usage | None
    done: bool
    chunks: int
    error: StreamError | None
    signature: str | None
    refusal: str | UnsetType = UNSET
    """Absent where the model did not decline in words apart from the text."""
    server_tools: tuple[ServerTool, ...] | UnsetType = UNSET
    """Absent where no tool was used but the client's functions."""
    media: tuple[str, ...] | UnsetType = UNSET
    """MIME types of output that is no text; absent without any."""
    max_gap_ms: float | UnsetType = UNSET
    max_gap_at_ms: float | UnsetType = UNSET
    max_gap_after_chunks: int | UnsetType = UNSET
    evidence: str | UnsetType = UNSET
    """The sentence that decided the signature; absent where the name says it all."""


def decodable(interaction: Interaction) -> bool:
    """Whether this is a streaming exchange in a dialect that kmon decodes; also if the response is an HTTP error."""
    return interaction.streaming and interaction.problem is None and wire_format(interaction.dialect) is not None


def timed_deltas(interaction: Interaction) -> Iterator[tuple[Delta, float | None]]:
    """The deltas of a :func:`decodable` interaction that is a stream, in order, each with its arrival in ms after the
    first event where the recording has times. Read by the decoder of live streams."""
    decoder = OneAnswer(_spoken(interaction))
    ms: float | None = None
    for piece, ms in _timed(interaction):
        for delta in decoder.feed(piece):
            yield delta, ms
    for delta in decoder.end():
        yield delta, ms


def transcript_of(interaction: Interaction) -> Transcript:
    """What a :func:`decodable` interaction says; empty if its response is no stream."""
    transcript = Transcript()
    for delta, _ in () if _is_plain_response(interaction) else timed_deltas(interaction):
        transcript.add(delta)
    return transcript


def plain_error(interaction: Interaction) -> StreamError | None:
    """The error of a :func:`decodable` interaction whose response is no stream; None for a stream."""
    return _refusal(interaction, _spoken(interaction)) if _is_plain_response(interaction) else None


def decoded(
    file: str,
    interaction: Interaction,
    transcript: Transcript,
    error: StreamError | None,
    *,
    gap: Gap | None = None,
    signature: str | None = None,
    evidence: str = "",
) -> Decoded:
    """What was read of an interaction, in the shape that is printed."""
    return Decoded(
        file,
        interaction.index,
        interaction.dialect,
        interaction.status,
        transcript.text,
        transcript.reasoning,
        tuple(map(fit_call, transcript.tool_calls)),
        transcript.finish_reason and fit(transcript.finish_reason),
        transcript.usage,
        transcript.done,
        transcript.chunks,
        fit_error(error),
        signature,
        transcript.refusal or UNSET,
        tuple(ServerTool(fit(tool.type), fit(tool.name)) for tool in transcript.server_tools) or UNSET,
        tuple(map(fit, transcript.media)) or UNSET,
        UNSET if gap is None else round(gap.ms, 3),
        UNSET if gap is None else round(gap.at_ms, 3),
        UNSET if gap is None else gap.after_chunks,
        fit(evidence, SENTENCE_LIMIT_CHARS) or UNSET,
    )


def _spoken(interaction: Interaction) -> WireFormat:
    spoken = wire_format(interaction.dialect)
    assert spoken is not None, "decodable() comes first"
    return spoken


def _timed(interaction: Interaction) -> list[tuple[bytes, float | None]]:
    """The body by events with their arrivals, or in one piece without."""
    framing = framing_of(interaction.body) if interaction.arrivals_ms else None
    pieces = [] if framing is None else list(framing.split(interaction.body))
    if not pieces or len(pieces) != len(interaction.arrivals_ms):
        return [(interaction.body, None)]
    return list(zip(pieces, interaction.arrivals_ms, strict=True))


def fit(value: str, limit_chars: int = NAME_LIMIT_CHARS) -> str:
    """A string, clean, on one line and bounded; recordings hold no keys, so none is removed."""
    return one_line(clean(value), limit_chars)


def fit_call(call: ToolCall) -> ToolCall:
    """A tool call with a clean and bounded name and id."""
    return structs.replace(call, id=fit(call.id, ID_LIMIT_CHARS), name=fit(call.name))


def fit_error(error: StreamError | None) -> StreamError | None:
    """An error with clean and bounded texts."""
    if error is None:
        return None
    message = bounded(clean(error.message), QUOTED_LIMIT_CHARS)
    code = None if error.code is None else fit(error.code)
    return structs.replace(error, message=message, code=code, frame=None if error.frame is None else clean(error.frame))


def _is_plain_response(interaction: Interaction) -> bool:
    """Whether the body is a plain HTTP response, not a stream."""
    if interaction.status is not None and not may_stream(interaction.status):
        return True
    return not is_stream(interaction.content_type, interaction.body)


def _refusal(interaction: Interaction, spoken: WireFormat) -> StreamError:
    """The error of a response that is no stream; one without a status is taken as refused if its body says so."""
    body = frame_text(interaction.body)
    status = interaction.status
    refused = reported(_value(interaction)) if status is None else not may_stream(status)
    error = body_error(body, "http" if refused else "not-a-stream", status, spoken.error_in)
    aws_code = interaction.headers.get("x-amzn-errortype", "").partition(":")[0]
    return structs.replace(error, code=error.code or aws_code or None)


def _value(interaction: Interaction) -> object:
    try:
        return parsed(interaction.body)
    except ValueError:
        return None
