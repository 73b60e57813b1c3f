"""``kmon config``: prints every setting, its value, and the origin of the value."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from kmon.commands.flags import Parser
from kmon.config.kinds import SECTIONS
from kmon.config.settings import SETTINGS
from kmon.logs import log

HELP = "Print every setting, its value and where the value came from."


def arguments(parser: Parser) -> None:
    parser.epilog, parser.formatter_class = "\n".join(_reference()), argparse.RawDescriptionHelpFormatter


def _reference() -> Iterator[str]:
    """The lines of the help: key, variable, flag, meaning and accepted values of every setting."""
    yield "settings, by table of kmon.toml (flags win over the environment, that over files):"
    for section in SECTIONS:
        yield f"[{section}]"
        for setting in SETTINGS.values():
            if setting.section == section:
                yield f"  {'  '.join(filter(None, (setting.key, setting.variable, setting.flag)))}"
                yield f"      {setting.described()}"
                yield f"      {setting.wanted}"


def run(options: argparse.Namespace) -> int:
    """Print one line per setting, one for the log, and one per project with trusted hosts."""
    from kmon.address import host_and_port
    from kmon.config.sources import load, user_config_dir
    from kmon.config.trusted import allowed
    from kmon.dialects.text import clean

    loaded = load()
    shown = {name: setting.shown(getattr(loaded.settings, name)) for name, setting in SETTINGS.items()}
    if loaded.settings.alert_webhook:
        shown["alert_webhook"] = host_and_port(loaded.settings.alert_webhook)  # its path may be a secret
    name_width = max(map(len, shown))
    value_width = max(map(len, shown.values()))
    for name, value in shown.items():
        print(f"{name.ljust(name_width)}  {value.ljust(value_width)}  {loaded.provenance[name]}")
    path, level = log.where()
    print(clean(f"{'log'.ljust(name_width)}  {level.ljust(value_width)}  {path}"))
    for project, hosts in sorted(allowed(user_config_dir()).items()):
        print(clean(f"{'trusted'.ljust(name_width)}  {','.join(hosts).ljust(value_width)}  kmon trust {project}"))
    return 0
