"""Environment variables of the process and of ``.env``, with the origin of each.

Values never appear in a repr or a message; only names and origins do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path

from kmon.catalog.toml_source import read_settings
from kmon.errors import UsageError

WARNINGS_LIMIT = 20
BLANKS_LIMIT = 200
"""Consecutive blanks. The time of the ``.env`` parser grows with the square of their number."""
_BLANKS = re.compile(r"[^\S\r\n]+")


class Environment(Mapping[str, str]):
    """Variables by name. The real environment overrides ``.env``; a blank variable counts as not set.

    Blanks and line breaks around a value are removed, because pasted keys often have them. ``in_project`` is False if
    ``.env`` is a link to a file outside the project.
    """

    def __init__(
        self, environ: Mapping[str, str], dotenv: Mapping[str, str] | None = None, *, in_project: bool = True
    ) -> None:
        self._in_project = in_project
        self.real = _set(environ)
        """Variables of the real environment only, for what a project's ``.env`` must not decide."""
        self._values = _set(dotenv or {}) | self.real

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Environment({len(self)} variables)"

    def source(self, name: str) -> str | None:
        """The origin of a variable: ``environment``, ``.env``, or None if it is not set."""
        if name not in self._values:
            return None
        return "environment" if name in self.real else ".env"

    def is_projects(self, name: str) -> bool:
        """Whether the project sets the variable: it is from ``.env``, and that file is in the project."""
        return self._in_project and self.source(name) == ".env"


def read_dotenv(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """The variables of a ``.env`` file, and a warning for each line that is not ``NAME=value``.

    A missing file or a directory of that name (some virtual environments) is empty. A pipe or a device is not read,
    with a warning. Values are not interpolated: a ``$`` stays a ``$``. Raises :class:`UsageError` if the file cannot
    be read, is too large or is not UTF-8.
    """
    try:
        if path.is_dir():
            return {}, ()
        if path.exists() and not path.is_file():
            return {}, (f"{path} is not a regular file and was not read",)
        raw = read_settings(path)
        if raw is None:
            return {}, ()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; fix its permissions") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    for blanks in _BLANKS.finditer(text):
        if len(blanks[0]) > BLANKS_LIMIT:
            line = text.count("\n", 0, blanks.start()) + 1
            raise UsageError(f"{path} line {line} has more than {BLANKS_LIMIT} blanks in a row; take them out")
    from dotenv.parser import parse_stream

    values: dict[str, str] = {}
    bad: list[int] = []
    for binding in parse_stream(StringIO(text)):
        if binding.error:
            bad.append(binding.original.line)
        elif binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    skipped = [f"{path} line {line} is not NAME=value and was skipped" for line in bad[:WARNINGS_LIMIT]]
    more = [f"{path}: {len(bad) - WARNINGS_LIMIT} further lines were skipped"] if len(bad) > WARNINGS_LIMIT else []
    return values, (*skipped, *more)


def _set(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in variables.items() if value.strip()}
