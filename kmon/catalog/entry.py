"""One named table of the catalog while it is being put together, every key remembering its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kmon.catalog.toml_lines import KeyPath
from kmon.catalog.toml_source import TomlSource
from kmon.errors import UsageError

LIKE_LIMIT = 20
"""Scenarios that can be like one another in a row."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A target or scenario table merged from several files. ``origins`` says where each key came from."""

    kind: str
    name: str
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, tuple[TomlSource, str]] = field(default_factory=dict)
    """Per key: the file, and the name of the table there (another one's, if it was inherited)."""
    last: TomlSource | None = None

    def overlaid(self, source: TomlSource, table: dict[str, Any]) -> Entry:
        """This entry with the keys of ``table`` on top."""
        origins = dict.fromkeys(table, (source, self.name))
        return Entry(self.kind, self.name, self.values | table, self.origins | origins, source)

    def inheriting(self, entries: dict[str, Entry]) -> Entry:
        """This entry with the keys it does not give taken from the one it is ``like``, and so on up."""
        values, origins, seen = dict(self.values), dict(self.origins), [self.name]
        while (parent := values.pop("like", None)) is not None:
            source, table = origins.pop("like")
            if parent in seen:
                raise source.error((self.kind, table, "like"), f"{' is like '.join([*seen, parent])}; break the circle")
            if parent not in entries:
                raise source.error((self.kind, table, "like"), f"there is no {parent!r} to be like")
            if len(seen) > LIKE_LIMIT:
                problem = f"the chain from {self.name!r} is longer than {LIKE_LIMIT}; write out what it needs"
                raise source.error((self.kind, table, "like"), problem)
            values, origins = entries[parent].values | values, entries[parent].origins | origins
            seen.append(parent)
        return Entry(self.kind, self.name, values, origins, self.last)

    def error(self, key: str, problem: str, *rest: str | int) -> UsageError:
        """A complaint about ``key`` in the file that gave it, or about the table if nobody did."""
        if key in self.origins:
            source, table = self.origins[key]
            return source.error((self.kind, table, key, *rest), problem)
        path: KeyPath = (self.kind, self.name)
        return self.last.error(path, problem) if self.last else UsageError(problem)
