"""Compares the model that was asked for with the model that the chunks name, by a normal form of names. Pure.

Providers spell one model in many ways. Equal are: case, dots, dashes and underscores in versions, the vendor's prefix
and the path, a region, ``latest`` and ``preview``, ``instruct``, ``chat`` and ``it``, the number format (fp8, awq), a
variant of an aggregator (``:free``), and a date, a size or a version that only one of the two names states. What is
left must be the same: family, version, size, tier (mini, pro, opus), base or distilled, thinking or not.
"""

from __future__ import annotations

import re

from msgspec import Struct

TREATED_AS_EQUAL = "spelling, vendor, region, number format, and a date, size or version that only one name states"
_FAMILY = re.compile(
    r"gpt[-_ ]?oss|gpt|chatgpt|claude|kimi|llama|codellama|qwen|qwq|qvq|deepseek|mixtral|ministral|codestral|devstral"
    r"|magistral|pixtral|voxtral|mistral|nova|gemma|gemini|glm|minimax|command[-_ ]?[ar](?![a-z])|command"
    r"|phi|grok|sonar|hermes|nemotron|jamba"
    r"|ernie|hunyuan|doubao|longcat|granite|olmo|solar|exaone|palmyra|titan|mercury|mimo"
    r"|moonshot(?=-v\d)|(?<![a-z])step(?=[-_ ]?\d)|(?<![a-z])yi(?=-)|(?<![a-z0-9])o[1-9](?![0-9a-z])"
)
_TIERS = frozenset({
    "mini", "nano", "micro", "lite", "flash", "pro", "opus", "sonnet", "haiku", "fable", "large", "medium", "small",
    "tiny", "max", "plus", "ultra", "premier", "scout", "maverick", "air", "airx", "flashx", "nemo", "coder", "code",
    "codex", "vl", "vision", "audio", "realtime", "embed", "embedding", "math", "distill", "base", "thinking", "deep",
    "research", "guard", "search", "image", "tts", "transcribe", "omni", "ocr", "next", "heavy", "fast", "swallow",
    "nemotron", "highspeed", "linear", "turbo",
})  # fmt: skip
_REASONING = re.compile(r"(?<![a-z])(non|no|not)?[-_ ]?reasoning(?![a-z])")
_NOT_THINKING = re.compile(r"(?<![a-z])(?:non|no|not)[-_ ]?thinking(?![a-z])")
_REGION = re.compile(r"^(?:us|eu|apac|ap|jp|au|ca|sa|global|us-gov)\.(?=[a-z])")
_VENDOR = re.compile(r"^[a-z0-9-]+\.(?=[a-z])")
_REVISION = re.compile(r"-v\d+:\d+$|@(?:default|latest|\d{8}|\d{3})$|:(?!scout|maverick)[a-z][\w-]*$")
_DATE = re.compile(
    r"(?<!\d)((?:0[1-9]|1[0-2])-20\d\d|20\d\d[-_.]?[01]\d[-_.]?[0-3]\d|2[3-9](?:0[1-9]|1[0-2])"
    r"|(?:0[1-9]|1[0-2])[0-3]\d)(?!\d)"
)
_ANY_OF_FAMILY = frozenset({"claude", "gpt", "gemini", "kimi", "deepseek", "glm", "grok"})
"""Families of which no model has the bare name: it stands for whichever is current."""
_MODES = {
    "claude": frozenset({"thinking", "fast"}), "gemini": frozenset({"thinking", "search"}),
    "gpt": frozenset({"medium", "fast"}), "llama": frozenset({"vision", "fast"}), "grok": frozenset[str](),
}  # fmt: skip
"""Words that ask the same weights of a family for something: to think, to search, an effort, a faster host."""
_R1_SIZE = "671b"
_SIZE = re.compile(r"(?<![a-z0-9.])(?:(\d+)x)?(\d+(?:[.p]\d+)?)([bmt])(?![a-z0-9])")
_ACTIVE = re.compile(r"(?<![a-z0-9])a\d+(?:\.\d+)?b(?![a-z0-9])|(?<![a-z0-9])\d+e(?![a-z0-9])")
_FORMAT = re.compile(r"(?<![a-z0-9])(?:(?:fp|bf|int|nvfp|mxfp|w|q)\d+(?:a\d+)?(?:_\w+)?|\d+bit)(?![a-z0-9])")
_VERSION = re.compile(r"(?<![a-z0-9.])([a-z]?)(\d{1,2})(?:[.p]|[-_](?=\d(?![\d.a-z])))?(\d{1,2})?([a-z]?)(?![a-z0-9])")


class _Name(Struct, frozen=True):
    family: str
    version: str
    size: str
    date: str
    reasoning: str
    """``yes``, ``no``, or empty where the name does not say."""
    tiers: frozenset[str]
    bare: bool
    """Whether it says nothing but the family, of which any model may be meant."""


def may_be_same(asked: str, served: str) -> bool:
    """Whether two names may mean one model: False only if both state their family and a stated part differs."""
    if asked.strip().lower() == served.strip().lower():
        return True
    one, other = _name(asked), _name(served)
    if one is None or other is None:
        return True
    if one.family == other.family and (one.bare or other.bare):
        return True
    if one.family != other.family or one.tiers != other.tiers:
        return False
    stated = (
        (one.version, other.version), (one.size, other.size), (one.date, other.date), (one.reasoning, other.reasoning),
    )  # fmt: skip
    return all(not first or not second or first == second for first, second in stated)


def _name(model: str) -> _Name | None:
    """The parts of a name; None if it states no family that is known."""
    low = model.strip().lower().rsplit("/", 1)[-1]
    low = _VENDOR.sub("", _REGION.sub("", low)) if not _FAMILY.match(low) else low
    low = _REVISION.sub("", low)
    family = _FAMILY.search(low)
    if family is None:
        return None
    reasoning = _REASONING.search(low)
    low = _FORMAT.sub(" ", _NOT_THINKING.sub(" ", _REASONING.sub(" ", low)))
    dates = [_digits(found[0]) for found in _DATE.finditer(low)]
    low = _DATE.sub(" ", low)
    size = _SIZE.search(low)
    low = _ACTIVE.sub(" ", _SIZE.sub(" ", low))
    words = set(re.split(r"[^a-z]+", low))
    words_and_digits = re.split(r"[^a-z0-9]+", low)
    tiers = words.intersection(_TIERS)
    name = re.sub(r"[-_ ]", "", family[0]).removeprefix("chat")
    if name != "gpt" or "preview" in words:
        tiers -= {"turbo"}  # of others a faster host of the same weights; gpt-4-turbo-preview is gpt-4-0125-preview
    tiers -= _MODES.get("gpt" if re.fullmatch(r"o\d", name) else name, {"fast"})
    if name == "deepseek" and "r1" in words_and_digits and size is not None and _size(size) != _R1_SIZE:
        tiers |= {"distill"}  # Ollama's deepseek-r1:70b, and deepseek-r1-0528-qwen3-8b
    bare = name in _ANY_OF_FAMILY and not re.sub(r"latest|[^a-z0-9]", "", low[family.end() :])
    said = "" if reasoning is None else "no" if reasoning[1] else "yes"
    return _Name(name, _version(low, family), _size(size), dates[-1] if dates else "", said, frozenset(tiers), bare)


def _version(low: str, family: re.Match[str]) -> str:
    """``3.1`` from ``v3p1``, ``3-1`` or ``3.1``; a letter that names a line of models is kept (``k2``, ``4o``)."""
    rest = low[family.end() :]
    glued = re.match(r"[-_ ]?(\d{1,2})(?:[.p_-](\d{1,2})(?![\d]))?(o?)(?![a-z0-9])", rest)
    if glued is None:
        after = _VERSION.search(rest)
        before = None if after else _VERSION.search(low[: family.start()])
        found = after or before
        if found is None:
            return ""
        letter, major, minor, suffix = found.groups()
    else:
        letter, (major, minor, suffix) = "", glued.groups()
    if family[0] == "gpt" and major == "35":
        major, minor = "3", "5"
    minor = f".{minor}" if minor and minor.strip("0") else ""
    return f"{'' if letter == 'v' else letter or ''}{major}{minor}{suffix if suffix == 'o' else ''}"


def _size(found: re.Match[str] | None) -> str:
    return "" if found is None else f"{found[1] or ''}{'x' if found[1] else ''}{found[2].replace('p', '.')}{found[3]}"


def _digits(date: str) -> str:
    """The digits of a date without the century, so that 2024-08-06 and 20240806 are equal."""
    digits = re.sub(r"\D", "", date)
    return digits[2:] if len(digits) == 8 else digits
