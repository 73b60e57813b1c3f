"""The signature of how an answer ended, by its bytes alone. What the transport did, silences and the content are judged
in other files here."""

from __future__ import annotations

from kmon.dialects.assemble import Transcript
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


def unclosed(transcript: Transcript, *, end_event: bool, finish_reason: bool) -> str | None:
    """The signature of an answer without its end event or its finish reason, of those that are usual."""
    if not transcript.done:
        return "finish-without-done" if end_event else None
    return "done-without-finish" if transcript.finish_reason is None and finish_reason else None
