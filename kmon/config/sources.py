"""Settings, and where each came from: defaults < kmon.toml < environment and .env < flags."""

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
from kmon.catalog.trust import Trust, homes_of
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
    """Everything the command line, the files and the environment say, put together."""

    settings: Settings = field(repr=False)
    """Out of the repr, as the address of a webhook may be a secret."""
    provenance: dict[str, str]
    """Per setting: ``default``, ``PATH line N``, ``KMON_STALL_S in .env`` or the flag."""
    env: Environment
    tables: tuple[TomlSource, ...] = field(repr=False)
    """The user's files that were found, lowest first."""
    catalog: Catalog = field(repr=False)
    trust: Trust
    notes: tuple[str, ...] = ()
    """Sentences worth showing that stop nothing."""


def user_config_dir() -> Path:
    """The directory of the user's own ``kmon.toml`` and themes; it need not exist, nor need its user have a home."""
    import platformdirs

    try:
        return Path(platformdirs.user_config_dir("kmon"))
    except RuntimeError:  # a user whom the system does not know, without HOME
        return Path(os.devnull) / "kmon"


def load(flags: Mapping[str, object] = MappingProxyType({})) -> Loaded:
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
    log.hide_variables(dotenv)
    if notes:
        _log.warning("%d things in .env were not read", len(notes))
    inside = Path(os.path.realpath(project_dir / ".env")).is_relative_to(os.path.realpath(project_dir))
    env = Environment(environ, dotenv, brought=inside)
    values: dict[str, Any] = {}
    provenance = dict.fromkeys(SETTINGS, "default")
    for name, value, place, complaint in (*_from_tables(tables, user_dir), *_from_env(env), *_from_flags(flags)):
        if value is None:
            raise UsageError(complaint)
        values[name], provenance[name] = value, place
    settings = Settings(**values)
    catalog = load_catalog(tables)
    return Loaded(settings, provenance, env, tables, catalog, _trust(tables, project_dir, user_dir), notes)


def _trust(tables: tuple[TomlSource, ...], project_dir: Path, user_dir: Path) -> Trust:
    """What the project in ``project_dir`` may do with keys: by kmon's catalog, the user's file and what was allowed."""
    project = name_of(project_dir)
    if not any(source.project for source in tables):
        return Trust(project)
    own = load_catalog(tuple(source for source in tables if not source.project))
    places = {name: host_of(target.base_url) for name, target in own.targets.items()}
    hosts = frozenset(allowed(user_dir).get(project, ()))
    return Trust(project, homes_of(own.targets.values()), places, hosts)


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
    """A setting that somebody gives. ``value`` is None where it cannot be used; then ``complaint`` says why."""

    name: str
    value: Value | None
    place: str
    complaint: str


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
            complaint = f"{place} must be {setting.wanted}; change it or unset it"
            yield _Given(name, setting.value(env[variable]), place, complaint)


def _from_flags(flags: Mapping[str, object]) -> Iterator[_Given]:
    for name, setting in SETTINGS.items():
        raw = flags.get(name)
        if setting.flag and raw is not None:
            complaint = f"{setting.flag} must be {setting.wanted}, not {raw!r}"
            yield _Given(name, setting.value(raw), setting.flag, complaint)
