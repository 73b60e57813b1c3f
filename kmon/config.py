"""Settings, and where each came from: defaults < kmon.toml < environment and .env < flags."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from kmon.catalog.address import host_and_port, is_loopback
from kmon.catalog.aws import FALLBACK_REGION
from kmon.catalog.environment import Environment, read_dotenv
from kmon.catalog.errors import UsageError
from kmon.catalog.keys import credential_variables, has_key, key_problem, key_source, key_variable
from kmon.catalog.load import Catalog, load_catalog
from kmon.catalog.model import REGION, Target
from kmon.catalog.toml_source import TomlSource, read_toml

__all__ = [
    "SETTINGS", "Environment", "Loaded", "Rule", "Settings", "UsageError", "credential_variables", "has_key",
    "key_problem", "key_source", "keyed_targets", "load", "load_settings", "read_dotenv", "user_config_dir",
]  # fmt: skip

FILE_NAME = "kmon.toml"
AUTO = "auto"
_SECTIONS = ("defaults", "alerts", "targets", "scenarios", "doctor")
_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class Settings(Struct, frozen=True, kw_only=True):
    """What a user may set. Seconds carry ``_s``; ``concurrency`` None means one round at a time.

    Of the alerts, 0 turns a rule off; ``on_alert`` is a command line without a shell.
    """

    stall_s: float | Literal["auto"] = 5.0
    timeout_s: float = 300.0
    connect_timeout_s: float = 10.0
    rounds: int = 1
    concurrency: int | None = None
    theme: str = "kmon-dark"
    fps: int = 10
    bell: bool = False
    ascii: bool = False
    alert_success_rate: float = 0.95
    alert_failures: float = 5
    alert_chunks: float = 3.0
    on_alert: str = ""
    alert_webhook: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """What one setting may be, and the flag that sets it. Seconds are above 0 and at most ``high``.

    ``key`` is its name in ``[alerts]`` if it belongs there; without one it goes by its own name in ``[defaults]``.
    ``own`` is a setting that acts on this machine: a project's files, which are cloned, may not make it.
    """

    flag: str
    kind: Literal["seconds", "seconds-or-auto", "count", "number", "switch", "name", "text"]
    high: int = 0
    key: str = ""
    own: bool = False

    @property
    def wanted(self) -> str:
        """The rule in words."""
        match self.kind:
            case "seconds":
                return f"a number of seconds above 0 and at most {self.high}"
            case "seconds-or-auto":
                return f"a number of seconds above 0 and at most {self.high}, or auto"
            case "number":
                return f"a number from 0 (off) to {self.high}"
            case "text":
                return "one line of text"
            case "count":
                return f"a whole number from 1 to {self.high}"
            case "switch":
                return "true or false"
            case "name":
                return "a name"


SETTINGS: dict[str, Rule] = {
    "stall_s": Rule("--stall", "seconds-or-auto", 86_400),
    "timeout_s": Rule("--timeout", "seconds", 86_400),
    "connect_timeout_s": Rule("--connect-timeout", "seconds", 3_600),
    "rounds": Rule("--count", "count", 10_000),
    "concurrency": Rule("--concurrency", "count", 1_000),
    "theme": Rule("--theme", "name"),
    "fps": Rule("--fps", "count", 60),
    "bell": Rule("--bell", "switch"),
    "ascii": Rule("--ascii", "switch"),
    "alert_success_rate": Rule("--alert-success-rate", "number", 1, "success_rate"),
    "alert_failures": Rule("--alert-failures", "number", 10_000, "consecutive_failures"),
    "alert_chunks": Rule("--alert-chunks", "number", 10_000, "chunks_per_stream"),
    "on_alert": Rule("--on-alert", "text", key="command", own=True),
    "alert_webhook": Rule("--alert-webhook", "text", key="webhook", own=True),
}
"""Per setting, its rule. In the environment it goes by ``KMON_`` and its name in capitals."""
_SETTINGS_IN: dict[str, dict[str, str]] = {
    "defaults": {name: name for name, rule in SETTINGS.items() if not rule.key},
    "alerts": {rule.key: name for name, rule in SETTINGS.items() if rule.key},
}
"""Per table of ``kmon.toml``, its keys and the settings they stand for."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything the command line, the files and the environment say, put together."""

    settings: Settings = field(repr=False)
    """Out of the repr, as the address of a webhook may be a secret."""
    provenance: dict[str, str]
    """Per setting: ``default``, ``PATH line N``, ``KMON_STALL_S in .env`` or the flag."""
    env: Environment
    tables: tuple[TomlSource, ...] = field(repr=False)
    """The user's files that were found, lowest first."""
    catalog: Catalog = field(repr=False)
    notes: tuple[str, ...] = ()
    """Sentences worth showing that stop nothing."""


def user_config_dir() -> Path:
    """The directory of the user's own ``kmon.toml`` and themes; it need not exist."""
    import platformdirs

    return Path(platformdirs.user_config_dir("kmon"))


def load(flags: Mapping[str, object]) -> Loaded:
    """:func:`load_settings` for this process: its environment, its directory and the user's."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current directory does not exist any more; change to one that does") from None
    return load_settings(flags, os.environ, here, user_config_dir())


def load_settings(flags: Mapping[str, object], environ: Mapping[str, str], project_dir: Path, user_dir: Path) -> Loaded:
    """Read the files of both directories and settle every setting and the catalog.

    ``flags`` holds settings by name (``stall_s``); None is a flag that was not given. A project's file wins over the
    user's. ``environ`` is only read. Raises :class:`UsageError` for the first thing that cannot be used.
    """
    tables = tuple(_tables(project_dir, user_dir))
    dotenv, notes = read_dotenv(project_dir / ".env")
    env = Environment(environ, dotenv)
    values: dict[str, Any] = {}
    provenance = dict.fromkeys(SETTINGS, "default")
    for name, raw, place, complaint in (*_from_tables(tables, user_dir), *_from_env(env), *_from_flags(flags)):
        value = _value(SETTINGS[name], raw)
        if value is None:
            raise UsageError(complaint)
        values[name], provenance[name] = value, place
    settings = msgspec.convert(values, Settings)
    catalog = load_catalog(tables)
    _check_destinations(catalog, tables, user_dir)
    return Loaded(settings, provenance, env, tables, catalog, notes)


def keyed_targets(catalog: Catalog, env: Environment) -> tuple[Target, ...]:
    """The targets whose key is set, each key used once: a key of one Moonshot site is no key of the other."""
    by_variable: dict[str, Target] = {}
    for target in catalog.targets.values():
        if name := key_variable(target, env):
            by_variable.setdefault(name, target)
    return tuple(by_variable.values())


def _tables(project_dir: Path, user_dir: Path) -> Iterator[TomlSource]:
    paths = dict.fromkeys((user_dir / FILE_NAME, project_dir / FILE_NAME))
    for source in (read_toml(path) for path in paths):
        if source is None:
            continue
        for section in source.table:
            if section not in _SECTIONS:
                raise source.unknown((section,), _SECTIONS)
        yield source


Given = tuple[str, object, str, str]
"""A setting's name, its raw value, where it came from, and the complaint should it not be usable."""


def _from_tables(tables: tuple[TomlSource, ...], user_dir: Path) -> Iterator[Given]:
    for source in tables:
        for section, names in _SETTINGS_IN.items():
            given = source.table.get(section, {})
            if not isinstance(given, dict):
                raise source.error((section,), f"must be a table; write [{section}]")
            for key, raw in given.items():
                path = (section, key)
                if key not in names:
                    raise source.unknown(path, names)
                name = names[key]
                rule = SETTINGS[name]
                if rule.own and source.path.parent != user_dir:
                    where = f"give {rule.flag}, or put it into {user_dir / FILE_NAME}"
                    raise source.error(path, f"a project's file may not set off anything on an alert; {where}")
                place = f"{source.path} line {source.line_of(path)}"
                if isinstance(raw, str) and rule.kind not in ("name", "text") and raw != AUTO:
                    raw = None  # in TOML a quoted number is text, and saying so beats guessing
                yield name, raw, place, str(source.error(path, f"must be {rule.wanted}"))


def _from_env(env: Environment) -> Iterator[Given]:
    for name, rule in SETTINGS.items():
        variable = f"KMON_{name.upper()}"
        if variable in env:
            place = f"{variable} in {env.source(variable)}"
            if rule.own and env.source(variable) == ".env":
                raise UsageError(f"{place}: a project's file may not set off anything on an alert; give {rule.flag}")
            yield name, env[variable], place, f"{place} must be {rule.wanted}; change it or unset it"


def _from_flags(flags: Mapping[str, object]) -> Iterator[Given]:
    for name, raw in flags.items():
        if raw is not None:
            rule = SETTINGS[name]
            yield name, raw, rule.flag, f"{rule.flag} must be {rule.wanted}, not {raw!r}"


def _value(rule: Rule, raw: object) -> float | int | bool | str | None:
    """The value ``raw`` stands for under ``rule``, or None if it stands for none."""
    if rule.kind == "seconds-or-auto" and raw == AUTO:
        return AUTO
    if rule.kind in ("name", "text"):
        return raw.strip() or None if isinstance(raw, str) and raw.isprintable() else None
    if rule.kind == "switch":
        return _SWITCH.get(raw.strip().lower()) if isinstance(raw, str) else raw if isinstance(raw, bool) else None
    number = _number(raw)
    if rule.kind == "number":
        return number if number is not None and 0 <= number <= rule.high else None
    if number is None or not 0 < number <= rule.high:
        return None
    if rule.kind in ("seconds", "seconds-or-auto"):
        return number
    return int(number) if number == int(number) else None


def _number(raw: object) -> float | None:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _check_destinations(catalog: Catalog, tables: tuple[TomlSource, ...], user_dir: Path) -> None:
    """Refuse a project's file that sends a known key to a new host: projects are cloned, keys are their owner's.

    Known are the keys and hosts of kmon's own targets and of the user's own file. This machine may have any key.
    """
    own = tuple(source for source in tables if source.path.parent == user_dir)
    homes: dict[str, set[str]] = {}
    for preset in load_catalog(own).targets.values() if len(own) < len(tables) else ():
        for variable in preset.key_env:
            homes.setdefault(variable, set()).add(urlsplit(preset.base_url).netloc)
    for source in tables:
        for name, table in source.table.get("targets", {}).items() if source not in own else ():
            target = catalog.targets[name]
            for variable in target.key_env if not is_loopback(target.base_url) else ():
                if not _at_home(target.base_url, homes.get(variable)):
                    key = "base_url" if "base_url" in table else "key_env"
                    raise source.error(
                        ("targets", name, key),
                        f"a project's file may not send {variable} to {host_and_port(target.base_url)}; give the "
                        f"target a key_env of its own, or put it into {user_dir / FILE_NAME} if you trust it",
                    )


def _at_home(base_url: str, homes: set[str] | None) -> bool:
    """Whether a key goes where it always went; None, a key nobody knows, may go anywhere."""
    if homes is None:
        return True
    host = urlsplit(base_url.replace(REGION, FALLBACK_REGION)).netloc
    return any(re.fullmatch(re.escape(home).replace(re.escape(REGION), "[a-z0-9-]+"), host) for home in homes)
