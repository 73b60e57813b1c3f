"""Promises about settings: who wins, where each value came from, and what is refused in one sentence."""

import dataclasses
import math
from pathlib import Path

import pytest

from kmon.config.settings import SETTINGS, Settings
from kmon.config.sources import Loaded, load_settings
from kmon.errors import UsageError


def refusal(flags: dict[str, object], environ: dict[str, str], project: Path, user: Path) -> str:
    with pytest.raises(UsageError) as refused:
        load_settings(flags, environ, project, user)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_nothing_given_means_the_defaults(project: Path, user: Path) -> None:
    loaded = load_settings({"stall_s": None}, {}, project, user)
    assert loaded.settings == Settings()
    assert set(loaded.provenance.values()) == {"default"}
    assert loaded.notes == ()


def test_every_setting_has_a_rule_and_a_place_of_origin(project: Path, user: Path) -> None:
    assert list(SETTINGS) == [field.name for field in dataclasses.fields(Settings)]
    assert list(load_settings({}, {}, project, user).provenance) == list(SETTINGS)


def test_each_layer_wins_over_the_one_below(project: Path, user: Path) -> None:
    def load(flags: dict[str, object], environ: dict[str, str]) -> tuple[float, str]:
        loaded = load_settings(flags, environ, project, user)
        return loaded.settings.stall_s, loaded.provenance["stall_s"]

    (user / "kmon.toml").write_text("[defaults]\nstall_s = 2\n")
    assert load({}, {}) == (2, f"{user / 'kmon.toml'} line 2")
    (project / "kmon.toml").write_text("[defaults]\n\nstall_s = 3\n")
    assert load({}, {}) == (3, f"{project / 'kmon.toml'} line 3")
    (project / ".env").write_text("KMON_STALL_S=4\n")
    assert load({}, {}) == (4, "KMON_STALL_S in .env")
    assert load({}, {"KMON_STALL_S": "5.5"}) == (5.5, "KMON_STALL_S in environment")
    assert load({"stall_s": 6.0}, {"KMON_STALL_S": "5.5"}) == (6, "--stall")


def test_layers_are_mixed_setting_by_setting(project: Path, user: Path) -> None:
    (user / "kmon.toml").write_text('[defaults]\ntheme = "kmon-light"\nbell = true\nconcurrency = 4\n')
    loaded = load_settings({"fps": 5}, {"KMON_ASCII": "yes", "KMON_BELL": "off"}, project, user)
    assert loaded.settings == Settings(theme="kmon-light", bell=False, concurrency=4, fps=5, ascii=True)


@pytest.mark.parametrize("raw", ["-1", "0", "nan", "inf", "-inf", "soon", "1e9", "5s", "1" * 400])
def test_seconds_that_are_none_are_refused_by_flag_variable_and_line(raw: str, project: Path, user: Path) -> None:
    wanted = "must be a number of seconds above 0 and at most 86400, or auto"
    assert refusal({"stall_s": raw}, {}, project, user) == f"--stall {wanted}, not {raw!r}"
    assert refusal({}, {"KMON_STALL_S": raw}, project, user).startswith(f"KMON_STALL_S in environment {wanted}")
    (project / "kmon.toml").write_text(f'[defaults]\ntimeout_s = 9\nstall_s = "{raw}"\n')
    assert refusal({}, {}, project, user) == f"{project / 'kmon.toml'} line 3, key 'defaults.stall_s': {wanted}"


@pytest.mark.parametrize("raw", [-1.0, 0.0, math.nan, math.inf, True])
def test_numbers_that_are_no_seconds_are_refused(raw: object, project: Path, user: Path) -> None:
    assert refusal({"timeout_s": raw}, {}, project, user).startswith("--timeout must be a number of seconds above 0")


@pytest.mark.parametrize("toml", ["-5", "0", "nan", "inf", "true", '"5"', "[5]", "1979-05-27", "9" * 30])
def test_toml_that_is_no_seconds_is_refused(toml: str, project: Path, user: Path) -> None:
    (user / "kmon.toml").write_text(f"[defaults]\nstall_s = {toml}\n")
    assert f"{user / 'kmon.toml'} line 2, key 'defaults.stall_s': must be" in refusal({}, {}, project, user)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"rounds": 0}, "--count must be a whole number from 1 to 10000, not 0"),
        ({"rounds": -3}, "--count must be a whole number from 1 to 10000, not -3"),
        ({"rounds": 2.5}, "--count must be a whole number from 1 to 10000, not 2.5"),
        ({"concurrency": -1}, "--concurrency must be a whole number from 1 to 1000, not -1"),
        ({"connect_timeout_s": 0}, "--connect-timeout must be a number of seconds above 0 and at most 3600, not 0"),
        ({"fps": 1000}, "--fps must be a whole number from 1 to 60, not 1000"),
        ({"bell": "maybe"}, "--bell must be true or false, not 'maybe'"),
        ({"theme": ""}, "--theme must be a name, not ''"),
        ({"theme": "\x1b[2J"}, "--theme must be a name, not '\\x1b[2J'"),
    ],
)
def test_every_kind_of_setting_says_what_it_wants(
    flags: dict[str, object], sentence: str, project: Path, user: Path
) -> None:
    assert refusal(flags, {}, project, user) == sentence


def test_an_unknown_key_is_answered_with_the_nearest(project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text("[defaults]\nstal_s = 3\n")
    assert refusal({}, {}, project, user).endswith("line 2, key 'defaults.stal_s': unknown key; did you mean stall_s?")
    (project / "kmon.toml").write_text("\n[default]\n")
    assert refusal({}, {}, project, user).endswith("line 2, key 'default': unknown key; did you mean defaults?")
    (project / "kmon.toml").write_text("defaults = 3\n")
    assert refusal({}, {}, project, user).endswith("line 1, key 'defaults': must be a table; write [defaults]")


def test_a_syntax_error_names_file_line_and_key(project: Path, user: Path) -> None:
    (user / "kmon.toml").write_text("[defaults]\nstall_s = five\n")
    assert f"{user / 'kmon.toml'} line 2, key 'stall_s': not valid TOML" in refusal({}, {}, project, user)


def test_the_catalog_is_overlaid_with_the_project_above_the_user(project: Path, user: Path) -> None:
    (user / "kmon.toml").write_text('[targets.groq]\nmodel = "u"\ncontrol_model = "c"\n')
    (project / "kmon.toml").write_text('[targets.groq]\nmodel = "p"\n')
    groq = load_settings({}, {}, project, user).catalog.targets["groq"]
    assert (groq.model, groq.control_model) == ("p", "c")


def test_one_directory_for_both_is_read_once(project: Path) -> None:
    (project / "kmon.toml").write_text("[defaults]\nfps = 3\n")
    loaded: Loaded = load_settings({}, {}, project, project)
    assert len(loaded.tables) == 1


def test_auto_is_a_stall_and_nothing_else(project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text('[defaults]\nstall_s = "auto"\n')
    settings = load_settings({}, {}, project, user).settings
    assert (settings.stall_s, settings.first_stall_s) == ("auto", 5)
    for line in ('[policy]\nfallback = "auto"\n', '[defaults]\ntimeout_s = "auto"\n'):
        (project / "kmon.toml").write_text(line)
        assert "must be" in refusal({}, {}, project, user)


def test_an_alert_goes_by_its_key_in_its_own_table(project: Path, user: Path) -> None:
    (project / "kmon.toml").write_text("[alerts]\nsuccess_rate = 0\nconsecutive_failures = 3\n")
    settings = load_settings({}, {}, project, user).settings
    assert (settings.alert_success_rate, settings.alert_failures) == (0, 3)
    (project / "kmon.toml").write_text("[defaults]\nsuccess_rate = 0.9\n")
    assert refusal({}, {}, project, user).endswith("belongs in [alerts]")
    (project / "kmon.toml").write_text("[alerts]\nalert_chunks = 3\n")
    assert "unknown key; use one of chunks_per_stream, command" in refusal({}, {}, project, user)
