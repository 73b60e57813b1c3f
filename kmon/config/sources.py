"""Loads settings and catalog, with the origin of each value: defaults < kmon.toml < environment and .env < flags."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from kmon.catalog.credential import host_of
from kmon.catalog.environment import Environment, read_dotenv
from kmon.catalog.load import Catalog, load_catalog
from kmon.catalog.toml_source import TomlSource, read_toml
from kmon.catalog.trust import Trust, key_hosts_of
from kmon.config.kinds import SECTIONS, Section, Value
from kmon.config.settings import KEYS, SETTINGS, Settings
from kmon.config.trusted import allowed, name_of
from kmon.errors import UsageError
from kmon.logs import log

_log = logging.getLogger(__name__)
FILE_NAME = "kmon.toml"
_SECTIONS = (*SECTIONS, "targets", "scenarios", "doctor")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, catalog and trust that result from flags, files and environment."""

    settings: Settings = field(repr=False)
    """Not in the repr, because the URL of a webhook may be a secret."""
    provenance: dict[str, str]
    """Per setting: ``default``, ``PATH line N``, ``KMON_STALL_S in .env`` or the flag."""
    env: Environment
    tables: tuple[TomlSource, ...] = field(repr=False)
    """The ``kmon.toml`` files that were found, lowest precedence first."""
    catalog: Catalog = field(repr=False)
    trust: Trust
    notes: tuple[str, ...] = ()
    """Warnings: sentences about lines that were ignored."""


def user_config_dir() -> Path:
    """The directory of the user's ``kmon.toml`` and themes. It may not exist, as for a user without a home."""
    import platformdirs

    try:
        return Path(platformdirs.user_config_dir("kmon"))
    except RuntimeError:  # the user is not in the system's database, and HOME is not set
        return Path(os.devnull) / "kmon"


def load(flags: Mapping[str, object] = MappingProxyType({})) -> Loaded:
    """:func:`load_settings` for this process: its environment, its directory and the user's."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current directory does not exist any more; change to one that does") from None
    return load_settings(flags, os.environ, here, user_config_dir())


def load_settings(flags: Mapping[str, object], environ: Mapping[str, str], project_dir: Path, user_dir: Path) -> Loaded:
    """Read the files of both directories, and determine every setting and the catalog.

    ``flags`` has settings by name (``stall_s``); None is a flag that was not given. The project's file overrides the
    user's. Raises :class:`UsageError` for the first value that cannot be used.
    """
    tables = tuple(_tables(project_dir, user_dir))
    dotenv, notes = read_dotenv(project_dir / ".env")
    log.hide_variables(dotenv)
    if notes:
        _log.warning("%d things in .env were not read", len(notes))
    in_project = Path(os.path.realpath(project_dir / ".env")).is_relative_to(os.path.realpath(project_dir))
    env = Environment(environ, dotenv, in_project=in_project)
    values: dict[str, Any] = {}
    provenance = dict.fromkeys(SETTINGS, "default")
    for name, value, place, problem in (*_from_tables(tables, user_dir), *_from_env(env), *_from_flags(flags)):
        if value is None:
            raise UsageError(problem)
        values[name], provenance[name] = value, place
    settings = Settings(**values)
    catalog = load_catalog(tables, env)
    return Loaded(settings, provenance, env, tables, catalog, _trust(tables, env, project_dir, user_dir), notes)


def _trust(tables: tuple[TomlSource, ...], env: Environment, project_dir: Path, user_dir: Path) -> Trust:
    """Which hosts a project may send keys to: by the catalog, the user's file and ``kmon trust``."""
    project = name_of(project_dir)
    if not any(source.project for source in tables):
        return Trust(project)
    own = load_catalog(tuple(source for source in tables if not source.project), env)
    target_hosts = {name: host_of(target.base_url) for name, target in own.targets.items()}
    hosts = frozenset(allowed(user_dir).get(project, ()))
    return Trust(project, key_hosts_of(own.targets.values()), target_hosts, hosts)


def _tables(project_dir: Path, user_dir: Path) -> Iterator[TomlSource]:
    paths = dict.fromkeys((user_dir / FILE_NAME, project_dir / FILE_NAME))
    for found in (read_toml(path) for path in paths):
        if found is None:
            continue
        source = replace(found, project=found.path.parent != user_dir)
        for section in source.table:
            if section not in _SECTIONS:
                raise source.unknown((section,), _SECTIONS)
        yield source


class _Given(NamedTuple):
    """A setting from one source. ``value`` is None if it is not accepted; ``problem`` is the sentence for that case."""

    name: str
    value: Value | None
    place: str
    problem: str


def _from_tables(tables: tuple[TomlSource, ...], user_dir: Path) -> Iterator[_Given]:
    for source in tables:
        for section in SECTIONS:
            given = source.table.get(section, {})
            if not isinstance(given, dict):
                raise source.error((section,), f"must be a table; write [{section}]")
            for key, raw in given.items():
                yield _from_table(source, section, key, raw, user_dir)


def _from_table(source: TomlSource, section: Section, key: str, raw: object, user_dir: Path) -> _Given:
    path = (section, key)
    name = KEYS.get(path)
    if name is None:
        if elsewhere := next((other for other, known in KEYS if known == key), None):
            raise source.error(path, f"belongs in [{elsewhere}]")
        raise source.unknown(path, [known for other, known in KEYS if other == section])
    setting = SETTINGS[name]
    if setting.own and source.project:
        where = f"give {setting.flag}, or put it into {user_dir / FILE_NAME}"
        raise source.error(path, f"a project's file may not set off anything on an alert; {where}")
    place = f"{source.path} line {source.line_of(path)}"
    return _Given(name, setting.toml_value(raw), place, str(source.error(path, f"must be {setting.wanted}")))


def _from_env(env: Environment) -> Iterator[_Given]:
    for name, setting in SETTINGS.items():
        variable = setting.variable
        if variable in env:
            place = f"{variable} in {env.source(variable)}"
            if setting.own and env.source(variable) == ".env":
                refused = f"a project's file may not set off anything on an alert; give {setting.flag}"
                raise UsageError(f"{place}: {refused}")
            problem = f"{place} must be {setting.wanted}; change it or unset it"
            yield _Given(name, setting.value(env[variable]), place, problem)


def _from_flags(flags: Mapping[str, object]) -> Iterator[_Given]:
    for name, setting in SETTINGS.items():
        raw = flags.get(name)
        if setting.flag and raw is not None:
            problem = f"{setting.flag} must be {setting.wanted}, not {raw!r}"
            yield _Given(name, setting.value(raw), setting.flag, problem)
