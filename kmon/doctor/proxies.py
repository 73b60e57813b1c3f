"""Which proxy variables are set, shown without what would let anybody in."""

from __future__ import annotations

from collections.abc import Mapping

from kmon.dialects.text import clean
from kmon.transport.proxy import shown

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
VALUE_LIMIT_CHARS = 200


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The proxy variables of ``environ`` by name as written, their users and passwords left out."""
    found = {}
    for name, value in environ.items():
        if name.lower() in NAMES and value.strip():
            found[name] = clean(value if name.lower() == "no_proxy" else fit(value))[:VALUE_LIMIT_CHARS]
    return dict(sorted(found.items()))


def fit(proxy: str) -> str:
    """A proxy's URL fit for a screen, even if it is no URL."""
    try:
        return clean(shown(proxy if "://" in proxy else f"http://{proxy}") or "")
    except ValueError:
        return "(not a URL)"
