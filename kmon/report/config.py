"""``kmon config``: every setting, its value, and where the value came from."""

from __future__ import annotations

import msgspec

from kmon.config import Loaded


def main(loaded: Loaded) -> int:
    """Print a line per setting."""
    values = msgspec.structs.asdict(loaded.settings)
    name_width = max(map(len, values))
    value_width = max(len(_shown(value)) for value in values.values())
    for name, value in values.items():
        print(f"{name.ljust(name_width)}  {_shown(value).ljust(value_width)}  {loaded.provenance[name]}")
    return 0


def _shown(value: object) -> str:
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
