"""Compares the token counts that a provider reports with what came. Pure.

kmon has no tokenizer. Its estimates are bounds that no tokenizer exceeds: a count is reported only where it is outside.
"""

from __future__ import annotations

import re

from kmon.dialects.assemble import Transcript

CHARS_PER_TOKEN = 4
"""Approximation for Latin text; code and other scripts have fewer."""
MOST_CHARS_PER_TOKEN = 16
"""No tokenizer averages more over a long text without runs of one character."""
LEAST_CHARS = 400
"""Shorter answers are no evidence about a count."""
SPARE_TOKENS = 200
"""Tokens that templates and tool markup may add to the visible output."""
_RUN = re.compile(r"(.)\1{3,}|\s{2,}", re.DOTALL)
"""Rulers and indentation: a tokenizer may have one token for a whole run."""


def usage_problem(transcript: Transcript, *, announced: bool) -> tuple[str, str] | None:
    """The signature and a sentence about the usage of an answer; None if there is nothing to say.

    ``announced``: the stream said that usage would come. A count can be too small for any text, but too large only if
    the provider reports its reasoning tokens, because hidden reasoning is counted as well, and if neither a tool of the
    server nor another answer to the same request is counted with it.
    """
    calls = "".join(call.name + call.arguments for call in transcript.tool_calls if not call.from_code)
    answer = transcript.text + transcript.refusal + calls
    said = answer + transcript.reasoning
    about = f"about {-(-len(said) // CHARS_PER_TOKEN)} by the length of the stream (an estimate)"
    usage = transcript.usage
    if usage is None or usage.completion_tokens is None:
        return ("usage-missing", f"usage was announced and never came; {about}") if announced else None
    counted, reasoned = usage.completion_tokens, usage.reasoning_tokens
    if counted == 0 and said.strip():
        return "usage-zero", f"usage counts no output tokens, {about}"
    chars = len(_RUN.sub(" ", said))
    if chars >= LEAST_CHARS and (counted + (reasoned or 0)) * MOST_CHARS_PER_TOKEN < chars:
        return "usage-mismatch", f"usage counts {counted} output tokens, {about}"
    visible = counted - (reasoned or 0) - (usage.unseen_tokens or 0)
    most = len(answer.encode("utf-8", "replace")) + SPARE_TOKENS
    # What is counted as output, and is not in the text.
    unseen = transcript.media or transcript.server_tools or transcript.other_choices
    if reasoned is not None and not unseen and visible > most:
        counts = f"usage counts {visible} output tokens beside {reasoned} of reasoning"
        return "usage-mismatch", f"{counts}, more than the answer has bytes; {about}"
    return None
