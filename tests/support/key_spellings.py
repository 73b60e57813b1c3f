"""The forms in which somebody may send a key back, and whether a text still gives it away: found by turning it back."""

from __future__ import annotations

import base64
import binascii
import html
import re
from urllib.parse import quote, unquote

NOISE = "\u200b"


def spellings(key: str) -> dict[str, str]:
    """Every promised form of ``key`` by its name."""
    raw = key.encode()
    return {
        "plain": key,
        "upper": key.upper(),
        "lower": key.lower(),
        "swapped": key.swapcase(),
        "reversed": key[::-1],
        "reversed-upper": key[::-1].upper(),
        "base64": base64.b64encode(raw).decode(),
        "base64-bare": base64.b64encode(raw).decode().rstrip("="),
        "base64-bearer": base64.b64encode(b"Bearer " + raw).decode(),
        "base64-user": base64.b64encode(b"user:" + raw).decode(),
        "base64-inside": base64.urlsafe_b64encode(b"xy" + raw + b"and more").decode(),
        "base64-wrapped": re.sub("(.{19})", r"\1\n", base64.b64encode(b"a" + raw).decode()),
        "hex": raw.hex(),
        "hex-upper": raw.hex().upper(),
        "hex-colons": raw.hex(":"),
        "percent": "".join(f"%{byte:02x}" for byte in raw),
        "percent-upper": "".join(f"%{byte:02X}" for byte in raw),
        "percent-some": "".join(f"%{ord(c):02X}" if i % 3 == 0 else c for i, c in enumerate(key)),
        "percent-twice": quote("".join(f"%{byte:02x}" for byte in raw)),
        "json": "".join(f"\\u{ord(c):04x}" for c in key),
        "json-in-json": "".join(f"\\\\u{ord(c):04X}" for c in key),
        "x-escapes": "".join(f"\\x{byte:02x}" for byte in raw),
        "html": "".join(f"&#{ord(c)};" for c in key),
        "html-hex": "".join(f"&#x{ord(c):x};" for c in key),
        "blanks": " ".join(key),
        "lines": "\n".join(key),
        "zero-width": NOISE.join(key),
        "markup": "*".join(key),
        "quoted": '","'.join(key),
    }


def gives_away(text: str, key: str) -> bool:
    """Whether ``text`` holds ``key`` in a form that can be turned back."""
    wanted = key.lower()
    for plain in {text, html.unescape(text), unquote(text), unquote(unquote(text)), _unescaped(text)}:
        bare = re.sub(r"""[\s*`~"',;:|<>()\[\]{}#\\]|[^\x00-\x7f]""", "", plain)
        for one in (plain, bare):
            if wanted in one.lower() or wanted[::-1] in one.lower() or key.encode().hex() in one.lower():
                return True
        if any(key.encode() in _decoded(run) for run in re.findall(r"[A-Za-z0-9+/_-]{8,}", bare)):
            return True
    return False


def _unescaped(text: str) -> str:
    return re.sub(r"\\+(?:u00|x)([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)


def _decoded(run: str) -> bytes:
    """What a run of base64 letters says from each of its first four letters on."""
    said = b""
    for start in range(4):
        part = run[start:].replace("-", "+").replace("_", "/")
        try:
            said += base64.b64decode(part[: len(part) // 4 * 4]) + b"|"
            said += base64.b64decode(part + "=" * (-len(part) % 4)) + b"|"
        except binascii.Error:
            continue
    return said
