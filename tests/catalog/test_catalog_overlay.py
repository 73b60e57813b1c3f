"""Promises about a user's kmon.toml: what it changes, and that a mistake in it is found by file, line and key."""

from pathlib import Path

import pytest

from kmon.catalog.load import Catalog, load_catalog
from kmon.catalog.toml_source import parse_toml
from kmon.errors import UsageError

BUILT_IN = load_catalog()


def overlaid(*texts: str) -> Catalog:
    return load_catalog([parse_toml(Path(f"{at}/kmon.toml"), text) for at, text in enumerate(texts)])


def refusal(*texts: str) -> str:
    with pytest.raises(UsageError) as refused:
        overlaid(*texts)
    sentence = str(refused.value)
    assert "\n" not in sentence and "Traceback" not in sentence
    return sentence


def test_one_key_can_be_changed_and_the_rest_stays() -> None:
    together = overlaid('[targets.together]\nmodel = "moonshotai/Kimi-K3"\n').targets["together"]
    assert together.model == "moonshotai/Kimi-K3"
    assert together.base_url == BUILT_IN.targets["together"].base_url
    assert together.quirks == BUILT_IN.targets["together"].quirks


def test_the_last_file_wins_key_by_key() -> None:
    user = '[targets.together]\nmodel = "from-user"\ntoken_cap = "max_completion_tokens"\n'
    together = overlaid(user, '[targets.together]\nmodel = "from-project"\n').targets["together"]
    assert (together.model, together.token_cap) == ("from-project", "max_completion_tokens")


def test_a_target_of_ones_own_needs_a_url_and_a_model() -> None:
    text = '[targets.mine]\nbase_url = "https://llm.example.com/v1/"\nmodel = "m"\nkey_env = ["MY_KEY"]\n'
    mine = overlaid(text).targets["mine"]
    assert (mine.name, mine.label, mine.base_url) == ("mine", "mine/m", "https://llm.example.com/v1")
    assert refusal('\n[targets.mine]\nmodel = "m"\n') == (
        "0/kmon.toml line 2, key 'targets.mine': target 'mine' has no base_url; add one"
    )


def test_a_target_may_send_no_token_cap() -> None:
    assert overlaid('[targets.vllm]\ntoken_cap = ""\n').targets["vllm"].token_cap is None


def test_a_scenario_can_be_added_changed_and_be_like_another() -> None:
    catalog = overlaid(
        '[scenarios.code]\nmax_tokens = 99\n[scenarios.mine]\nlike = "code-tools"\ntitle = "mine"\n'
        '[scenarios.own]\nmessages = [{ role = "user", content = "hi" }]\n'
    )
    assert catalog.scenarios["code"].max_tokens == 99
    assert catalog.scenarios["code-tools"].max_tokens == 99
    assert catalog.scenarios["mine"].tools == BUILT_IN.scenarios["code-tools"].tools
    assert catalog.scenarios["mine"].title == "mine"
    assert catalog.scenarios["own"].messages[0].content == "hi"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[targets.together]\n\nmodel = 3\n", "line 3, key 'targets.together.model': expected str, got int"),
        ('[targets.together]\nmodle = "x"\n', "line 2, key 'targets.together.modle': unknown key; did you mean model?"),
        ('[targets.together]\ndialect = "grpc"\n', "line 2, key 'targets.together.dialect': invalid enum value 'grpc'"),
        ('targets.together.model = ""\n', "line 1, key 'targets.together.model': the model id is empty"),
        (
            '[targets.together]\nkey_env = ["A_B", "sk-x"]\n',
            "line 2, key 'targets.together.key_env[1]': must be the name",
        ),
        ("[targets.together.headers]\nX-A = 1\n", "line 1, key 'targets.together.headers': expected str, got int"),
        ('[targets.together.headers]\n"X A" = "1"\n', "line 2, key 'targets.together.headers.'X A'': is not a header"),
        ("[targets.together.body]\nstream = false\n", "line 2, key 'targets.together.body.stream': is decided by"),
        ('[targets.together]\nprovider = "a b"\n', "line 2, key 'targets.together.provider': a provider's name"),
        ('[targets."a/b/c"]\nmodel = "m"\n', "line 1, key 'targets.'a/b/c'': a name has letters"),
        ("targets = 3\n", "line 1, key 'targets': must be a table; write [targets.NAME]"),
        ("[targets]\ntogether = 3\n", "line 2, key 'targets.together': must be a table"),
        ("[scenarios.x]\n", "line 1, key 'scenarios.x': scenario 'x' has no messages"),
        ("[scenarios.x]\nmessages = []\n", "line 2, key 'scenarios.x.messages': scenario 'x' has no messages"),
        ("[scenarios.code]\nmax_tokens = 0\n", "line 2, key 'scenarios.code.max_tokens': must be at least 1"),
        ('[scenarios.x]\nlike = "y"\n', "line 2, key 'scenarios.x.like': there is no 'y' to be like"),
        (
            '[scenarios.x]\nlike = "y"\n[scenarios.y]\nlike = "x"\n',
            "line 4, key 'scenarios.y.like': x is like y is like x; break the circle",
        ),
        (
            '[[scenarios.x.messages]]\nrole = "user"\ncontent = "a"\n[[scenarios.x.messages]]\nrole = "usr"\n',
            "line 5, key 'scenarios.x.messages[1].role': invalid enum value 'usr'",
        ),
        (
            '[scenarios.x]\nmessages = [\n  { role = "tool", content = "1", tool_call_id = "none" },\n]\n',
            "line 2, key 'scenarios.x.messages[0]': a tool message needs the tool_call_id of an earlier call",
        ),
        (
            '[scenarios.x]\nmessages = [{ role = "user", contents = "1" }]\n',
            "line 2, key 'scenarios.x.messages[0].contents': unknown key",
        ),
        (
            '[scenarios.minimal]\ntool_choice = "auto"\n',
            "line 2, key 'scenarios.minimal.tool_choice': there are no tools to choose from",
        ),
        ("[scenarios.minimal]\nfiller_tokens = 5\n", "line 2, key 'scenarios.minimal.filler_tokens': must be 1 to"),
    ],
)
def test_a_mistake_is_found_by_file_line_and_key(text: str, sentence: str) -> None:
    assert f"0/kmon.toml {sentence}" in refusal(text)


def test_the_file_that_made_the_mistake_is_the_one_named() -> None:
    good = '[targets.together]\nmodel = "fine"\n'
    assert "1/kmon.toml line 2" in refusal(good, '[targets.together]\nbase_url = "nowhere"\n', good)


@pytest.mark.parametrize(
    "text",
    [
        '[targets.together]\napi_key = "s3cr3t"\n',
        '[targets.together]\ntoken = "s3cr3t"\n',
        '[targets.together.headers]\nAuthorization = "Bearer s3cr3t"\n',
        '[targets.together.headers]\nX-Api-Key = "s3cr3t"\n',
        '[targets.together]\nbase_url = "https://user:s3cr3t@example.com/v1"\n',
        '[targets.together]\nkey_env = ["sk-s3cr3t"]\n',
        '[targets.together]\nkey_env = "sk-s3cr3t"\n',
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(text: str) -> None:
    sentence = refusal(text)
    assert "line 2" in sentence
    assert "s3cr3t" not in sentence
