"""The habits of hosts: what would be a fault at one is usual at another."""

from __future__ import annotations

from pathlib import Path

from kmon.catalog.habits import Habits, habits, habits_of
from kmon.catalog.load import load_catalog
from kmon.catalog.resolve import custom_target
from kmon.catalog.toml_source import parse_toml


def test_habits_are_those_of_a_host_and_without_a_url_of_its_models() -> None:
    assert not habits_of("https://api.perplexity.ai/chat/completions", "anything").end_event
    assert habits_of("https://api.together.ai/v1", "sonar-pro").end_event
    assert not habits_of("", "sonar-pro").end_event
    assert habits_of("", "gpt-oss-120b") == habits_of("http://[") == Habits()
    assert all(known != Habits(models=known.models) for known in habits().values())


def test_a_habit_of_a_domain_is_that_of_each_host_in_it() -> None:
    assert not habits_of("https://myorg-myaccount.snowflakecomputing.com/api/v2/cortex/v1").finish_reason
    assert habits_of("https://snowflakecomputing.com.example/v1") == habits_of("https://com") == Habits()


def test_a_target_has_the_habit_of_its_host() -> None:
    assert not custom_target("https://api.perplexity.ai/v1", "sonar").end_event
    assert custom_target("https://api.together.ai/v1", "sonar").end_event
    account = "https://a.snowflakecomputing.com/api/v2/cortex/v1"
    assert not custom_target(account, "claude-sonnet-4-6").finish_reason
    targets = load_catalog().targets
    assert [name for name, target in targets.items() if not target.end_event] == ["cerebras"]
    assert all(target.finish_reason for target in targets.values())
    own = '[targets.mine]\nbase_url = "https://llm.example/v1"\nmodel = "m"\nend_event = false\nfinish_reason = false\n'
    mine = load_catalog((parse_toml(Path("kmon.toml"), own),)).targets["mine"]
    assert not mine.end_event and not mine.finish_reason
