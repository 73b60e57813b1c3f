"""How long a string from outside may be where it is shown, and how one that is longer is cut: visibly.

The text, the reasoning and the arguments of tool calls have limits of their own (``assemble.py``), and what is let go
there is counted.
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
SENTENCE_LIMIT_CHARS = 2_000
"""A sentence of kmon's own that quotes: evidence, a diagnosis."""
CUT = "…"


def bounded(text: str, limit_chars: int) -> str:
    """``text`` if it is no longer than ``limit_chars``, else its beginning, which then ends in ``…``."""
    return text if len(text) <= limit_chars else text[: limit_chars - len(CUT)] + CUT


def one_line(text: str, limit_chars: int) -> str:
    """``text``, cleaned already, on one line and bounded."""
    return bounded(text.replace("\n", " ").replace("\t", " "), limit_chars)
