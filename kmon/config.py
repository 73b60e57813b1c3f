"""Settings, and where each came from: defaults < kmon.toml < environment and .env < flags."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from kmon.catalog.address import host_and_port, is_loopback
from kmon.catalog.aws import FALLBACK_REGION
from kmon.catalog.environment import Environment, read_dotenv
from kmon.catalog.errors import UsageError
from kmon.catalog.keys import credential_variables, has_key, key_problem, key_source, key_variable
from kmon.catalog.load import Catalog, load_catalog
from kmon.catalog.model import REGION, SOCKET_DIALECTS, Target
from kmon.catalog.toml_source import TomlSource, read_toml
from kmon.settings import AUTO, KEYS, SECTIONS, SETTINGS, Rule, Section, Settings

__all__ = [
    "SETTINGS", "Environment", "Loaded", "Rule", "Settings", "UsageError", "credential_variables", "has_key",
    "key_problem", "key_source", "keyed_targets", "load", "load_settings", "read_dotenv", "user_config_dir",
]  # fmt: skip

FILE_NAME = "kmon.toml"
_SECTIONS = (*SECTIONS, "targets", "scenarios", "doctor")


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
        value = SETTINGS[name].value(raw)
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
        name = key_variable(target, env)
        if name and target.dialect not in SOCKET_DIALECTS:  # a gateway is no provider: it is raced when it is named
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
        for section in SECTIONS:
            given = source.table.get(section, {})
            if not isinstance(given, dict):
                raise source.error((section,), f"must be a table; write [{section}]")
            for key, raw in given.items():
                yield _from_table(source, section, key, raw, user_dir)


def _from_table(source: TomlSource, section: Section, key: str, raw: object, user_dir: Path) -> Given:
    path = (section, key)
    name = KEYS.get((section, key))
    if name is None:
        if elsewhere := next((other for other, known in KEYS if known == key), None):
            raise source.error(path, f"belongs in [{elsewhere}]")
        raise source.unknown(path, [known for other, known in KEYS if other == section])
    rule = SETTINGS[name]
    if rule.own and source.path.parent != user_dir:
        where = f"give {rule.flag}, or put it into {user_dir / FILE_NAME}"
        raise source.error(path, f"a project's file may not set off anything on an alert; {where}")
    words = rule.kind in ("name", "choice", "text") or (rule.kind == "seconds-or-auto" and raw == AUTO)
    if isinstance(raw, str) and not words:
        raw = None  # in TOML a quoted number is text and names are a list, and saying so beats guessing
    place = f"{source.path} line {source.line_of(path)}"
    return name, raw, place, str(source.error(path, f"must be {rule.wanted}"))


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
