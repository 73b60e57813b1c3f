"""``kmon config``: every setting, its value, and where the value came from."""

from __future__ import annotations

import msgspec

from kmon import log
from kmon.catalog.address import host_and_port
from kmon.config import Loaded, user_config_dir
from kmon.dialects.text import clean
from kmon.settings import SETTINGS
from kmon.trusted import allowed


def main(loaded: Loaded) -> int:
    """Print a line per setting, one for the log, and one per project that may have keys sent to hosts of its own."""
    values = msgspec.structs.asdict(loaded.settings)
    shown = {name: _shown(name, value) for name, value in values.items()}
    name_width = max(map(len, shown))
    value_width = max(map(len, shown.values()))
    for name, words in shown.items():
        print(f"{name.ljust(name_width)}  {words.ljust(value_width)}  {loaded.provenance[name]}")
    path, level = log.where()
    print(clean(f"{'log'.ljust(name_width)}  {level.ljust(value_width)}  {path}"))
    for project, hosts in sorted(allowed(user_config_dir()).items()):
        print(clean(f"{'trusted'.ljust(name_width)}  {','.join(hosts).ljust(value_width)}  kmon trust {project}"))
    return 0


def _shown(name: str, value: object) -> str:
    if name == "alert_webhook" and value:
        return host_and_port(str(value))  # its path may be a secret
    if SETTINGS[name].kind in ("limit", "number") and not value:
        return "off"
    if isinstance(value, tuple):
        return ",".join(value) or "-"
    return "-" if value in (None, "") else str(value).lower() if isinstance(value, bool) else str(value)
