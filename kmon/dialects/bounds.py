"""Length limits for strings from outside, and functions that cut longer ones with a visible mark.

Text, reasoning and arguments of tool calls have their own limits (``assemble.py``), and what is dropped is counted.
"""

from __future__ import annotations

NAME_LIMIT_CHARS = 256
"""A finish reason, a model, a host, a tool's name, an error's code, a content type, a path."""
ID_LIMIT_CHARS = 4_096
"""An id of an answer or a tool call: some hold a signature of 2,000 characters."""
HEADER_LIMIT_CHARS = 1_024
"""A response header that is kept as evidence."""
MESSAGE_LIMIT_CHARS = 400
"""The message of an error, or a notice."""
QUOTED_LIMIT_CHARS = 2_000
"""A message, a code or a header value before keys are removed from it: more than is shown."""
SENTENCE_LIMIT_CHARS = 2_000
"""A sentence of kmon that quotes outside text: evidence, a diagnosis."""
SESSION_LIMIT_CHARS = 80
"""A gateway's session, in the name of a pane."""
FRAME_LIMIT_CHARS = 2_000
"""A frame that is kept as evidence."""
CUT = "…"


def bounded(text: str, limit_chars: int) -> str:
    """``text``, or if it is longer than ``limit_chars`` its beginning and ``…``."""
    return text if len(text) <= limit_chars else text[: limit_chars - len(CUT)] + CUT


def one_line(text: str, limit_chars: int) -> str:
    """``text``, which must be clean, on one line and bounded."""
    return bounded(text.replace("\n", " ").replace("\t", " "), limit_chars)


def ending(text: str, limit_chars: int) -> str:
    """``text``, or if it is longer than ``limit_chars`` ``…`` and its end."""
    return text if len(text) <= limit_chars else CUT + text[len(text) - limit_chars + len(CUT) :]


def frame_text(data: bytes) -> str:
    """A frame as raw text for evidence, at most ``FRAME_LIMIT_CHARS``."""
    return bounded(data[: 4 * FRAME_LIMIT_CHARS + 4].decode("utf-8", "replace"), FRAME_LIMIT_CHARS)
