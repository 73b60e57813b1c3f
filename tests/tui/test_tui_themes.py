"""Themes: the shipped ones are readable, a user's own are taken, a broken one is reported and skipped."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color

from kmon.errors import UsageError
from kmon.tui.palette import TEXT_KEYS, Palette
from kmon.tui.themes import choose, load_themes, shipped_dir


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        channels = [part / 255 for part in Color.parse(colour).rgb]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


SHIPPED = load_themes().palettes


def test_the_shipped_themes() -> None:
    assert list(SHIPPED) == ["kmon-dark", "kmon-colourblind", "kmon-contrast", "kmon-light"]
    assert load_themes().failures == ()
    assert (shipped_dir() / "kmon.tcss").is_file()


@pytest.mark.parametrize("palette", SHIPPED.values(), ids=lambda palette: palette.name)
def test_every_word_is_readable(palette: Palette) -> None:
    """WCAG AA (4.5:1) on the page and on the bars; AAA (7:1) for the high-contrast theme."""
    needed = 7.0 if palette.name == "kmon-contrast" else 4.5
    for ground in ("ui.background", "ui.panel"):
        for key in TEXT_KEYS:
            ratio = contrast(palette.colours[key], palette.colours[ground])
            assert ratio >= needed, f"{key} on {ground}: {ratio:.2f}"


@pytest.mark.parametrize("palette", SHIPPED.values(), ids=lambda palette: palette.name)
def test_borders_and_gap_columns_can_be_seen(palette: Palette) -> None:
    page = palette.colours["ui.background"]
    assert contrast(palette.colours["ui.border"], page) >= 1.7
    assert contrast(palette.colours["gap.calm"], page) >= 3.0


def test_an_unknown_theme_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match=r"no theme 'neon'; choose one of kmon-dark, .*kmon-light"):
        choose(load_themes(), "neon")


def test_a_users_theme_may_change_only_some_colours(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "kmon-light"\n[state]\nstalled = "#800000"\n')
    mine = load_themes([tmp_path]).palettes["mine"]
    assert mine.colours["state.stalled"] == "#800000"
    assert mine.colours["ui.background"] == SHIPPED["kmon-light"].colours["ui.background"]
    assert not mine.dark


def test_a_users_theme_replaces_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('name = "kmon-dark"\nbase = "kmon-dark"\n[ui]\naccent = "#ffffff"\n')
    assert load_themes([tmp_path]).palettes["kmon-dark"].colours["ui.accent"] == "#ffffff"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('base = "kmon-dark"\n[state]\nstalled = "red"\n', r"line 3, state\.stalled: 'red' is not a colour"),
        ('base = "kmon-dark"\n[state]\nstaled = "#ff0000"\n', r"line 3, state\.staled: unknown; known are queued"),
        ('base = "kmon-dark"\n\n[colors]\na = "#ff0000"\n', r"line 3, colors: unknown; known are name"),
        ('base = "night"\n', r"line 1, base: there is no theme 'night'"),
        ('base = "kmon-dark"\nstate = 7\n', r"state: must be a table"),
        ('name = "[@click=app.quit]"\n', r"line 1, name: must be a word"),
        ('dark = "yes"\n', r"line 1, dark: must be true or false"),
        ("[ui]\nbackground = '#000000'\n", r"ui\.: panel, foreground, .* missing"),
        ("[ui\n", r"line 1: not valid TOML"),
        ("\udcff", r"cannot be read"),
    ],
)
def test_a_broken_theme_is_reported_with_its_place_and_skipped(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    themes = load_themes([tmp_path])
    assert set(themes.palettes) == set(SHIPPED)
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(themes.failures[0])
    assert str(path) in themes.failures[0]


def test_a_folder_that_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    assert load_themes([tmp_path / "nowhere"]).failures == ()
