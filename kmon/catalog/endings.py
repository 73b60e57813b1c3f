"""The signature of how an answer ended, by its bytes alone: ``decode``, a run, a replay and the proxy name it alike.

What the transport did, silences and the content are judged elsewhere (``kmon/findings/``).
"""

from __future__ import annotations

from kmon.catalog.signatures import failure_name
from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import StreamError
from kmon.dialects.dialect import FinishWords

TRUNCATED, MALFORMED = "truncated-no-finish", "malformed-frame"
FINISH_FAILED, UNSTREAMED = "finish-with-failure", "not-a-stream"


def broken(transcript: Transcript, words: FinishWords) -> str | None:
    """The signature of an answer that did not come to a good end, whatever is in it; None if it did.

    A frame in which the body ended is the cut itself, where no finish reason came before.
    """
    if transcript.finish_reason is None and not transcript.done:
        return MALFORMED if transcript.malformed_frames > transcript.cut_frames else TRUNCATED
    if transcript.malformed_frames:
        return MALFORMED
    if words.is_failure(transcript.finish_reason):
        return FINISH_FAILED
    return UNSTREAMED if transcript.unstreamed else None


def unclosed(transcript: Transcript, words: FinishWords, *, end_event: bool) -> str | None:
    """The signature of an answer without its end event or its finish reason; ``end_event``: whether one is usual."""
    if not transcript.done:
        return "finish-without-done" if end_event else None
    return "done-without-finish" if transcript.finish_reason is None and words.required else None


def ending_name(
    transcript: Transcript,
    error: StreamError | None,
    words: FinishWords,
    *,
    end_event: bool = True,
    ends_kept: bool = True,
) -> str | None:
    """The signature of an answer whose body ended, with its error if there is one.

    ``ends_kept``: whether the end event and the finish reason would be there if the provider had sent them.
    """
    if error is not None and error.kind != MALFORMED:
        return failure_name(error.kind, error.status)
    if (name := broken(transcript, words)) is not None or not ends_kept:
        return name
    return unclosed(transcript, words, end_event=end_event)
