"""Loads the catalog: kmon's targets and scenarios, overlaid with the user's files, then checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from kmon.catalog.entry import Entry, check_scenario, check_target, provider_of
from kmon.catalog.habits import habits_of
from kmon.catalog.toml_source import TomlSource, parse_toml
from kmon.catalog.url_variables import filled, variables_in
from kmon.model import FileLine, Scenario, Target

Kind = Literal["targets", "scenarios"]


class Catalog(Struct, frozen=True):
    """Targets and scenarios by name, in the order of the files.

    A scenario with ``filler_tokens`` still has its ``{filler}`` mark; ``resolve_scenario`` replaces it.
    """

    targets: dict[str, Target]
    scenarios: dict[str, Scenario]


def load_catalog(sources: Sequence[TomlSource] = (), env: Mapping[str, str] = MappingProxyType({})) -> Catalog:
    """Overlay the built-in catalog with ``sources``; for each key the last source wins.

    ``env`` fills the variables of base URLs; a target whose variable is missing keeps it in its base URL.
    Raises :class:`UsageError` with file, line and key of the first value that is not valid.
    """
    targets = _entries("targets", (_built_in("targets.toml"), *sources))
    scenarios = _entries("scenarios", (_built_in("scenarios.toml"), *sources))
    return Catalog(
        targets={name: filled(_target(entry), env) for name, entry in targets.items()},
        scenarios={name: _scenario(entry, scenarios) for name, entry in scenarios.items()},
    )


def _built_in(name: str) -> TomlSource:
    return parse_toml(Path(name), files("kmon.catalog").joinpath(name).read_text(encoding="utf-8"))


def _partial(shape: type[Struct], without: frozenset[str], extra: Sequence[tuple[str, Any]]) -> type[Struct]:
    """The type of one table of one file: ``shape`` with every key optional and unknown keys refused."""
    fields = [(f.name, f.type) for f in msgspec.structs.fields(shape) if f.name not in without]
    return msgspec.defstruct(
        f"{shape.__name__}Table",
        [(name, kind | UnsetType, UNSET) for name, kind in (*fields, *extra)],
        forbid_unknown_fields=True,
        kw_only=True,
    )


_TABLES: dict[Kind, type[Struct]] = {
    "targets": _partial(Target, frozenset({"name", "simulated", "named_in", "url_variables"}), ()),
    "scenarios": _partial(Scenario, frozenset({"name", "stream"}), (("like", str),)),
}


def _entries(kind: Kind, sources: Sequence[TomlSource]) -> dict[str, Entry]:
    """One entry per name, each key from the last file that has it."""
    shape = _TABLES[kind]
    known = [f.name for f in msgspec.structs.fields(shape)]
    entries: dict[str, Entry] = {}
    for source in sources:
        for name, table in _tables(kind, source):
            try:
                msgspec.convert(table, shape)
            except msgspec.ValidationError as error:
                raise source.invalid((kind, name), error, known) from None
            entry = entries.get(name) or Entry(kind, name)
            entries[name] = entry.overlaid(source, table)
    return entries


def _tables(kind: Kind, source: TomlSource) -> Iterator[tuple[str, dict[str, Any]]]:
    tables = source.table.get(kind, {})
    if not isinstance(tables, dict):
        raise source.error((kind,), f"must be a table; write [{kind}.NAME]")
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise source.error((kind, name), f"must be a table; write [{kind}.NAME]")
        yield name, table


def _target(entry: Entry) -> Target:
    check_target(entry)
    given = {"provider": provider_of(entry), **entry.values, "name": entry.name}
    given["base_url"] = given["base_url"].rstrip("/")
    given["token_cap"] = given.get("token_cap", "max_tokens") or None  # TOML has no null: "" means None
    usual = habits_of(given["base_url"])
    given = {"end_event": usual.end_event, "finish_reason": usual.finish_reason, **given}
    given["url_variables"] = variables_in(given["base_url"])
    return msgspec.convert({**given, "named_in": _named_in(entry)}, Target)


def _named_in(entry: Entry) -> FileLine | None:
    """The file and line of a project that sets the target's URL, key, auth or dialect; None if none does."""
    for key in ("base_url", "key_env", "auth", "dialect"):
        source, table = entry.origins.get(key, (None, ""))
        if source is not None and source.project:
            return FileLine(str(source.path), source.line_of((entry.kind, table, key)))
    return None


def _scenario(entry: Entry, entries: dict[str, Entry]) -> Scenario:
    inherited = entry.inheriting(entries)
    scenario = (
        msgspec.convert({**inherited.values, "name": entry.name}, Scenario) if "messages" in inherited.values else None
    )
    return check_scenario(inherited, scenario)
