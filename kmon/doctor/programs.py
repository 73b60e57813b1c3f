"""Which programs the doctor looks for: ``[doctor] programs = [...]`` of kmon.toml, or the known chat programs."""

from __future__ import annotations

from collections.abc import Sequence

from kmon.catalog.toml_source import TomlSource

DEFAULTS = ("openclaw", "openclaw-tui", "opencode", "claude", "codex", "kimi", "goose", "aider")


def programs(sources: Sequence[TomlSource]) -> tuple[str, ...]:
    """The names to look for; the last file that gives any wins. Raises :class:`UsageError` for what are no names."""
    names = DEFAULTS
    for source in sources:
        table = source.table.get("doctor", {})
        if not isinstance(table, dict):
            raise source.error(("doctor",), "must be a table; write [doctor]")
        for key in table:
            if key != "programs":
                raise source.unknown(("doctor", key), ["programs"])
        if "programs" in table:
            given = table["programs"]
            if not isinstance(given, list) or not all(_is_name(name) for name in given):
                raise source.error(("doctor", "programs"), "must be a list of program names without their directory")
            names = tuple(given)
    return names


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name) and name.isprintable() and "/" not in name
