"""What a server says about a failure, in any of the forms that servers use: JSON of many shapes, a page, plain words.

There is no standard. Seen in use: ``error`` as object, text or list; ``errors``; MiniMax's ``base_resp``; FastAPI's
``detail``; bare ``code`` and ``message`` (DashScope, API gateways); Hunyuan's ``ErrorMsg``; any of these inside a list
or one object further in (Tencent, Volcengine), in any case; a proxy's HTML page. The same members stand in healthy
answers, with the code 0 or the message "success", and in notices.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any

from kmon.dialects.json_access import items, members, text

MESSAGE_KEYS = (
    "faultstring", "message", "detail", "msg", "error_message", "errormessage", "error_msg", "errmsg", "status_msg",
    "error_description", "originalmessage", "error", "errors", "title", "description", "reason", "type",
)  # fmt: skip
"""Members with the words of an error, lower case; the first that has some is taken."""
CODE_KEYS = ("code", "error_code", "errorcode", "errcode", "__type", "error_type", "type", "status", "status_code")
STATUS_KEYS = ("status_code", "statuscode", "code", "status", "error_code")
HEALTHY_CODES = frozenset({"", "success", "ok", "true", "none"})
FAILED_STATES = frozenset({"error", "fail", "failed", "failure"})
HEALTHY_WORDS = frozenset({"success", "succeeded", "successful", "ok"})
BESIDE = frozenset({
    "code", "status", "status_code", "statuscode", "type", "title", "param", "message", "msg", "detail", "success",
    "instance", "path", "timestamp", "error_code", "error_msg", "request_id", "requestid", "trace_id",
    "traceid", "connectionid", "id", "sid", "log_id", "request-id",
})  # fmt: skip
"""The members of an object that is nothing but a message."""
OWN_WORDS = ("error_message", "errormessage", "error_msg", "errmsg")
"""Members that hold the words of an error whatever else is there."""
WRAPPERS = ("response", "responsemetadata", "result", "data", "body")
"""Members that may hold the object with the ``error``."""
NOTICES = frozenset({
    "info", "notice", "notification", "warning", "status", "progress", "log", "debug", "ping", "heartbeat", "keepalive",
    "keep-alive", "meta", "metadata", "start", "queue",
})  # fmt: skip
"""Types of messages, and names of events, that are no errors."""
BESIDE_KIND = ("message", "detail", "error_description")
"""Members with the words of an error whose ``error`` may be a word for its kind."""
DEPTH = 4
"""How deep words are searched for."""
SHOWN_ITEMS = 3
"""Errors of a list that are quoted."""
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.DOTALL | re.IGNORECASE)
_PAGE = re.compile(r"\s*<(?:!doctype|html|head|body|center|h1|title|\?xml|error)\b", re.IGNORECASE)
_HEADING = re.compile(r"<(title|h1|message)\b[^>]*>(.{1,500}?)</\1\s*>", re.DOTALL | re.IGNORECASE)


def reported(value: object, event: str = "") -> object:
    """The part of a JSON value that reports an error; None if it reports none. ``event`` is the name of its event."""
    if isinstance(value, list):
        return next((found for item in value[:SHOWN_ITEMS] if (found := reported(item)) is not None), None)
    if not isinstance(value, dict):
        return None
    lower = lowered(value)
    if (error := _member(lower)) is not None:
        # A text may be the kind of an error whose words stand beside it, and a number is none of them.
        named = not isinstance(error, dict | list) and any(text(lower.get(key)) for key in BESIDE_KIND)
        return value if named or not isinstance(error, str | dict | list) else error
    if errors := items(lower.get("errors")) or members(lower.get("errors")):
        return errors
    base = members(lower.get("base_resp"))
    if not _healthy_code(base.get("status_code")):
        return base
    for key in WRAPPERS:
        if (error := _member(lowered(members(lower.get(key))))) is not None:
            return error
    if "error" in (value.get("type"), value.get("object")):
        return value
    if lower.get("choices") or not _speaks(lower, event):
        return None
    return value


def words(value: object, depth: int = DEPTH) -> str:
    """The words of an error: a text, the message of an object, the first ones of a list. Else its JSON, or ""."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool) or value in ({}, []):
        return ""
    if depth and isinstance(value, list):
        return "; ".join(filter(None, (words(item, depth - 1) for item in value[:SHOWN_ITEMS])))
    if depth and isinstance(value, dict):
        lower = lowered(value)
        given = sorted((lower[key] for key in MESSAGE_KEYS if key in lower), key=_is_number)
        found = next((said for member in given if (said := words(member, depth - 1))), "")
        behind = text(members(lower.get("metadata")).get("raw"))  # what the provider behind OpenRouter said
        if found and behind and behind not in found:
            found = f"{found}: {behind}"
        place = ".".join(str(step) for step in items(lower.get("loc"))[:DEPTH])
        if found:
            return f"{found} ({place})" if place else found
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return ""


def page_words(body: str) -> str | None:
    """What a page says: its title, else its first heading, else its text; None if ``body`` is no HTML or XML."""
    if _PAGE.match(body) is None:
        return None
    heading = _HEADING.search(body)
    said = " ".join(html.unescape(_TAGS.sub(" ", body if heading is None else heading[2])).split())
    return f"an HTML page: {said}" if said else "an HTML page without words"


def lowered(value: dict[str, Any]) -> dict[str, Any]:
    """The members by lower-case name: some servers write ``Message``."""
    return {str(key).lower(): member for key, member in value.items()}


def _member(lower: dict[str, Any]) -> object:
    """The ``error`` among these members; None if there is none, or if it says so itself."""
    error = lower.get("error") or members(lower.get("errormsg")) or members(lower.get("fault"))
    return None if not error or (isinstance(error, dict) and _empty(error)) else error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _speaks(lower: dict[str, Any], event: str) -> bool:
    """Whether an object without choices, with these members, is a message about a failure."""
    if lower.get("ok") is False or lower.get("success") is False:
        return True
    if lower.get("detail"):
        return not _healthy_words(lower["detail"])
    said = next((lower[key] for key in MESSAGE_KEYS[:9] if lower.get(key)), None)
    if not isinstance(said, str) or _healthy_words(said):
        return False
    codes = [lower[key] for key in ("code", "error_code", "errorcode", "errcode", "__type") if key in lower]
    states = [lower[key] for key in ("status", "status_code", "statuscode") if key in lower]
    if codes or states:
        return not all(map(_healthy_code, codes)) or any(map(_failed_state, states))
    if any(text(lower.get(key)) for key in OWN_WORDS):
        return True
    if (text(lower.get("type")) or event).lower() in NOTICES or lower.get("success") is True:
        return False
    return {key for key, member in lower.items() if member} <= BESIDE


def _empty(error: dict[str, Any]) -> bool:
    """Whether the members of ``error`` say that there is none."""
    lower = lowered(error)
    if _healthy_words(lower.get("message")):
        return True
    codes = CODE_KEYS + STATUS_KEYS
    return all(_healthy_code(member) if key in codes else not member for key, member in lower.items())


def _healthy_words(value: object) -> bool:
    return isinstance(value, str) and value.strip(" .!").lower() in HEALTHY_WORDS


def _healthy_code(value: object) -> bool:
    """Whether a code says success: none, zero, 2xx, or the word."""
    if isinstance(value, str):
        word = value.strip().lower()
        return word in HEALTHY_CODES or not word.strip("0") or (word.isdecimal() and len(word) == 3 and word[0] == "2")
    if value is None or isinstance(value, bool):
        return value is not False
    return isinstance(value, int | float) and (value == 0 or 200 <= value < 300)


def _failed_state(value: object) -> bool:
    """Whether a status says failure; any other word may be a state of a job."""
    if isinstance(value, str) and not value.isdecimal():
        return value.strip().lower() in FAILED_STATES
    return not _healthy_code(value)
