"""The members of Gemini's chunks as Google's Python SDK dumps them: in ``snake_case``, with null for what is absent.

On the wire they are in ``camelCase``. Source: the types of googleapis/python-genai and the REST reference.
"""

from __future__ import annotations

import re
from typing import Any

from kmon.dialects.json_access import members

DEPTH_LIMIT = 30
_TOLD_BY = ("usage_metadata", "prompt_feedback", "model_version", "response_id", "sdk_http_response")
_FREE = ("args", "response")
"""What is inside these belongs to the functions of a program, whose names stay."""
_UNDERSCORE = re.compile(r"_([a-z])")


def on_the_wire(value: dict[str, Any]) -> dict[str, Any]:
    """A chunk with the names of the wire; anything else as it is."""
    if not isinstance(value.get("candidates"), list | None) or not any(name in value for name in _TOLD_BY):
        return value
    return members(_renamed(value, 0))


def _renamed(value: object, depth: int) -> object:
    if depth > DEPTH_LIMIT:
        return value
    if isinstance(value, list):
        return [_renamed(one, depth + 1) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        _UNDERSCORE.sub(lambda found: found[1].upper(), str(name)): inner
        if name in _FREE
        else _renamed(inner, depth + 1)
        for name, inner in value.items()
        if inner is not None
    }
