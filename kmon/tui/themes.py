"""Themes from TOML: the shipped ones and the user's own. A broken one is reported and skipped, never fatal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kmon
from kmon.catalog.toml_source import read_toml
from kmon.errors import UsageError
from kmon.tui.palette import SECTIONS, Palette

DEFAULT = "kmon-dark"
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_NAME = re.compile(r"[\w.-]{1,40}")


Wrong = Callable[[str, str, str], "ThemeError"]
"""Makes the error for a section, a key and a reason."""


class ThemeError(Exception):
    """One sentence: the file, the line and the key, and what is wrong there."""


@dataclass(frozen=True)
class Themes:
    """The themes that could be loaded, by name, and a sentence for each that could not."""

    palettes: Mapping[str, Palette]
    failures: tuple[str, ...] = ()


def shipped_dir() -> Path:
    """Where the shipped themes are: inside the installed package, or beside it in a checkout."""
    package = Path(kmon.__file__).parent
    installed = package / "themes"
    return installed if installed.is_dir() else package.parent / "themes"


def load_themes(user_dirs: Iterable[Path] = ()) -> Themes:
    """Load the shipped themes and those of the user; a user's theme replaces a shipped one of the same name."""
    palettes: dict[str, Palette] = {}
    failures: list[str] = []
    for folder in (shipped_dir(), *user_dirs):
        # The default goes first, so that the others can be written as changes to it.
        files = sorted(folder.glob("*.toml"), key=lambda path: (path.stem != DEFAULT, path.name))
        for path in files:
            try:
                palette = read_theme(path, palettes)
            except ThemeError as error:
                failures.append(str(error))
            else:
                palettes[palette.name] = palette
    if not palettes:
        raise UsageError(f"no themes in {shipped_dir()}; kmon is not installed completely, install it again")
    return Themes(palettes, tuple(failures))


def choose(themes: Themes, name: str) -> Palette:
    """The theme called ``name``; raises ``UsageError`` that lists the names there are."""
    palette = themes.palettes.get(name)
    if palette is None:
        raise UsageError(f"there is no theme {name!r}; choose one of {', '.join(themes.palettes)}")
    return palette


def read_theme(path: Path, known: Mapping[str, Palette]) -> Palette:
    """Read one theme file; raises :class:`ThemeError`. ``base`` names a theme in ``known`` to take the rest from."""
    try:
        source = read_toml(path)
    except UsageError as error:
        raise ThemeError(f"a theme cannot be read: {error}") from error
    if source is None:
        raise ThemeError(f"a theme cannot be read: {path} is gone")
    table, defined = source.table, source.defined

    def wrong(section: str, key: str, why: str) -> ThemeError:
        name = f"{section}.{key}" if section else key
        line = defined.line_of([part for part in (section, key) if part])
        return ThemeError(f"theme {path}, line {line}, {name}: {why}")

    for key in table:
        if key not in ("name", "dark", "base", *SECTIONS):
            raise wrong("", key, f"unknown; known are name, dark, base, {', '.join(SECTIONS)}")
    name = table.get("name", path.stem)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise wrong("", "name", "must be a word of letters, digits, dots and dashes")
    base = table.get("base")
    if base is not None and base not in known:
        raise wrong("", "base", f"there is no theme {base!r} to start from")
    inherited = known[base] if base is not None else None
    dark = table.get("dark", inherited.dark if inherited else True)
    if not isinstance(dark, bool):
        raise wrong("", "dark", "must be true or false")
    colours = dict(inherited.colours) if inherited else {}
    for section, keys in SECTIONS.items():
        colours.update(_section(table, section, keys, wrong))
        missing = [key for key in keys if f"{section}.{key}" not in colours]
        if missing:
            raise wrong(section, "", f'{", ".join(missing)} missing; add it or set base = "{DEFAULT}"')
    return Palette(name, dark, colours)


def _section(table: Mapping[str, Any], section: str, keys: Sequence[str], wrong: Wrong) -> dict[str, str]:
    values = table.get(section, {})
    if not isinstance(values, dict):
        raise wrong("", section, "must be a table of colours")
    out: dict[str, str] = {}
    for key, colour in values.items():
        if key not in keys:
            raise wrong(section, key, f"unknown; known are {', '.join(keys)}")
        if not isinstance(colour, str) or not _COLOUR.fullmatch(colour):
            raise wrong(section, key, f'{colour!r} is not a colour; write it as "#rrggbb"')
        out[f"{section}.{key}"] = colour
    return out
