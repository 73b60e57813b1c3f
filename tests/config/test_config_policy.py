"""Promises about the settings of a policy: their table, their flags, and what is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmon.catalog.resolve import resolve_scenario, resolve_target
from kmon.cli import parser_of
from kmon.commands.build_policy import policy_of
from kmon.config.settings import SETTINGS
from kmon.config.sources import Loaded, load_settings
from kmon.engine.selection import rows
from kmon.errors import UsageError
from kmon.retry.policy import CAUSES, Policy


def loaded(tmp_path: Path, toml: str = "", environ: dict[str, str] | None = None, *flags: str) -> Loaded:
    (tmp_path / "kmon.toml").write_text(toml)
    options = parser_of("run").parse_args(list(flags))
    return load_settings(vars(options), environ or {}, tmp_path, tmp_path)


def policy(found: Loaded, *targets: str, scenario: str = "code") -> Policy:
    aims = [resolve_target(found.catalog, name) for name in targets or ("together",)]
    asked = rows(aims, [resolve_scenario(found.catalog, scenario)])
    return policy_of(found, asked, timeout_s=None, jitter_seed=7, aimed=lambda target: target)


def refusal(found: Loaded, *targets: str, scenario: str = "code") -> str:
    with pytest.raises(UsageError) as refused:
        policy(found, *targets, scenario=scenario)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_settings_defaults_are_the_policys(tmp_path: Path) -> None:
    assert policy(loaded(tmp_path)) == Policy(jitter_seed=7)
    assert SETTINGS["retry_on"].default == CAUSES


def test_every_setting_of_a_policy_may_stand_in_its_table(tmp_path: Path) -> None:
    toml = """
        [policy]
        header_timeout_s = 10
        first_token_timeout_s = 20
        byte_timeout_s = 30
        chunk_timeout_s = 40
        idle_timeout_s = 50
        retries = 3
        retry_base_s = 0.5
        retry_cap_s = 30
        retry_on = ["rate-limit", "timeout"]
        fallback = ["groq", "fireworks"]
        fallback_when = "anytime"
        tools = "sequential"
    """
    found = loaded(tmp_path, toml)
    assert found.provenance["retries"] == f"{tmp_path / 'kmon.toml'} line 8"
    made = policy(found)
    assert [target.name for target in made.fallback] == ["groq", "fireworks"]
    assert (made.header_timeout_s, made.byte_timeout_s, made.chunk_timeout_s, made.idle_timeout_s) == (10, 30, 40, 50)
    assert (made.retries, made.retry_base_s, made.retry_cap_s) == (3, 0.5, 30)
    assert (made.retry_on, made.fallback_when, made.tools) == (("rate-limit", "timeout"), "anytime", "sequential")


def test_environment_and_flags_win_over_the_table_and_0_turns_a_limit_off(tmp_path: Path) -> None:
    toml = '[policy]\nidle_timeout_s = 50\nfallback = ["groq"]\nretries = 1\n'
    found = loaded(tmp_path, toml, {"KMON_FALLBACK": "fireworks, mistral", "KMON_RETRIES": "2"}, "--idle-timeout", "0")
    made = policy(found)
    assert (made.idle_timeout_s, made.retries) == (None, 2)
    assert [target.name for target in made.fallback] == ["fireworks", "mistral"]
    assert found.provenance["idle_timeout_s"] == "--idle-timeout"
    flagged = policy(loaded(tmp_path, toml, {}, "--fallback", "moonshot,mistral", "--fallback-when", "anytime"))
    assert ([t.name for t in flagged.fallback], flagged.fallback_when) == (["moonshot", "mistral"], "anytime")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("retries = -1", "key 'policy.retries': must be a whole number from 0 to 20"),
        ("retries = 1.5", "key 'policy.retries': must be a whole number from 0 to 20"),
        ('idle_timeout_s = "9"', "key 'policy.idle_timeout_s': must be a number of seconds from 0 (off) to 86400"),
        ("idle_timeout_s = -1", "must be a number of seconds from 0 (off) to 86400"),
        ("retry_base_s = 0", "must be a number of seconds above 0 and at most 3600"),
        ('fallback = "groq"', "key 'policy.fallback': must be one or more names"),
        ("fallback = [3]", "key 'policy.fallback': must be one or more names"),
        ('retry_on = ["rate-limits"]', "must be names out of rate-limit, server-error, connection, timeout, cut-short"),
        ('fallback_when = "later"', "must be before-first-token or anytime"),
        ('tools = "one"', "must be parallel or sequential"),
        ("retrys = 1", "key 'policy.retrys': unknown key; did you mean retries?"),
        ("stall_s = 3", "key 'policy.stall_s': belongs in [defaults]"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_line(line: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        loaded(tmp_path, f"[policy]\n{line}\n")
    assert f"{tmp_path / 'kmon.toml'} line 2" in str(refused.value)
    assert words in str(refused.value)


def test_a_setting_of_a_policy_does_not_hide_among_the_defaults(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"line 2, key 'defaults\.retries': belongs in \[policy\]"):
        loaded(tmp_path, "[defaults]\nretries = 1\n")


def test_a_contradiction_names_both_settings_with_their_places(tmp_path: Path) -> None:
    found = loaded(tmp_path, "[defaults]\ntimeout_s = 30\n", {}, "--first-token-timeout", "60")
    assert refusal(found) == (
        f"first_token_timeout_s 60 (--first-token-timeout) and timeout_s 30 ({tmp_path / 'kmon.toml'} line 2) "
        "do not fit together: the second always passes before the first; change one of them"
    )
    nothing = loaded(tmp_path, "[policy]\nretries = 2\nretry_on = []\n")
    assert "retries 2" in refusal(nothing) and "retry_on [] " in refusal(nothing)


def test_a_fallback_to_itself_or_to_nobody_known_is_refused(tmp_path: Path) -> None:
    assert refusal(loaded(tmp_path, "", {}, "--fallback", "together")) == (
        "fallback together (--fallback): together cannot fall back to itself; change it"
    )
    assert "names groq twice" in refusal(loaded(tmp_path, "", {}, "--fallback", "groq,groq"))
    assert "no-such-one" in refusal(loaded(tmp_path, "", {}, "--fallback", "no-such-one"))


def test_a_fallback_that_cannot_carry_the_scenario_is_refused(tmp_path: Path) -> None:
    toml = '[targets.native]\nprovider = "deepinfra"\nmodel = "m"\ndialect = "deepinfra"\n'
    toml += 'base_url = "https://api.deepinfra.com/v1/inference"\nkey_env = ["DEEPINFRA_API_KEY"]\n'
    found = loaded(tmp_path, toml, {}, "--fallback", "native")
    assert refusal(found, scenario="code-tools").startswith("fallback native (--fallback): ")


def test_an_experiment_takes_no_notice_of_retries_and_fallbacks(tmp_path: Path) -> None:
    found = loaded(tmp_path, '[policy]\nretries = 2\nfallback = ["together"]\nidle_timeout_s = 20\n')
    asked = rows([resolve_target(found.catalog, "together")], [resolve_scenario(found.catalog, "code")])
    made = policy_of(found, asked, timeout_s=None, jitter_seed=None, aimed=lambda target: target, once=True)
    assert (made.retries, made.fallback, made.idle_timeout_s) == (0, (), 20)


def test_the_shorter_limit_of_a_demonstration_contradicts_nothing(tmp_path: Path) -> None:
    found = loaded(tmp_path, "[policy]\nfirst_token_timeout_s = 60\n")
    asked = rows([resolve_target(found.catalog, "together")], [resolve_scenario(found.catalog, "code")])
    made = policy_of(found, asked, timeout_s=20, jitter_seed=None, aimed=lambda target: target)
    assert (made.first_token_timeout_s, made.timeout_s) == (60, 20)
