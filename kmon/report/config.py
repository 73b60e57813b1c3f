"""``kmon config``: every setting, its value, and where the value came from."""

from __future__ import annotations

import msgspec

from kmon.config import Loaded
from kmon.settings import SETTINGS


def main(loaded: Loaded) -> int:
    """Print a line per setting."""
    values = msgspec.structs.asdict(loaded.settings)
    name_width = max(map(len, values))
    value_width = max(len(_shown(name, value)) for name, value in values.items())
    for name, value in values.items():
        print(f"{name.ljust(name_width)}  {_shown(name, value).ljust(value_width)}  {loaded.provenance[name]}")
    return 0


def _shown(name: str, value: object) -> str:
    if SETTINGS[name].kind == "limit" and not value:
        return "off"
    if isinstance(value, tuple):
        return ",".join(value) or "-"
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
