"""The environment with ``.env`` beneath it, knowing where each variable was found.

Values never appear in a repr or a message; only names and places do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path

from kmon.catalog.toml_source import read_settings
from kmon.errors import UsageError

COMPLAINTS_LIMIT = 20
BLANKS_LIMIT = 200
"""In a row. The parser of ``.env`` files takes time by the square of a row's length."""
_BLANKS = re.compile(r"[^\S\r\n]+")


class Environment(Mapping[str, str]):
    """Variables by name. A real environment variable always wins over ``.env``; a blank one counts as not set.

    Blanks and line breaks around a value are dropped: pasted keys bring them along. ``brought`` is whether the file of
    ``dotenv`` is the project's own: a repository may hold a link of that name to a file of its user's.
    """

    def __init__(
        self, environ: Mapping[str, str], dotenv: Mapping[str, str] | None = None, *, brought: bool = True
    ) -> None:
        self._brought = brought
        self.real = _set(environ)
        """Those of the real environment alone: what a project's ``.env`` may not decide is looked up here."""
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
        """Where a variable was found: ``environment``, ``.env`` or None."""
        if name not in self._values:
            return None
        return "environment" if name in self.real else ".env"

    def is_projects(self, name: str) -> bool:
        """Whether the project itself brought the variable: its ``.env`` sets it, and that file lies in the project."""
        return self._brought and self.source(name) == ".env"


def read_dotenv(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """The variables of a ``.env`` file, and a sentence for each line that is no ``NAME=value``.

    A missing file, or a directory of that name (some virtual environments), holds nothing. A pipe or a device is not
    read, and said. Nothing is interpolated: a ``$`` in a key is a ``$``. Raises :class:`UsageError` if the file cannot
    be read or is no such file by its size.
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
    told = [f"{path} line {line} is not NAME=value and was skipped" for line in bad[:COMPLAINTS_LIMIT]]
    more = [f"{path}: {len(bad) - COMPLAINTS_LIMIT} further lines were skipped"] if len(bad) > COMPLAINTS_LIMIT else []
    return values, (*told, *more)


def _set(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in variables.items() if value.strip()}
