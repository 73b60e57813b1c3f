"""``kmon config``: every setting, its value, and where the value came from."""

from __future__ import annotations

import msgspec

from kmon.catalog.address import host_and_port
from kmon.config import Loaded
from kmon.settings import SETTINGS


def main(loaded: Loaded) -> int:
    """Print a line per setting."""
    values = msgspec.structs.asdict(loaded.settings)
    shown = {name: _shown(name, value) for name, value in values.items()}
    name_width = max(map(len, shown))
    value_width = max(map(len, shown.values()))
    for name, words in shown.items():
        print(f"{name.ljust(name_width)}  {words.ljust(value_width)}  {loaded.provenance[name]}")
    return 0


def _shown(name: str, value: object) -> str:
    if name == "alert_webhook" and value:
        return host_and_port(str(value))  # its path may be a secret
    if SETTINGS[name].kind in ("limit", "number") and not value:
        return "off"
    if isinstance(value, tuple):
        return ",".join(value) or "-"
    return "-" if value in (None, "") else str(value).lower() if isinstance(value, bool) else str(value)
