"""Promises about .env and keys: the real environment wins, nothing is modified, and no key is ever shown."""

import os
import re
from pathlib import Path

import pytest

from kmon.catalog.environment import Environment, read_dotenv
from kmon.catalog.keys import has_key, key_problem, key_source, keyed_targets
from kmon.catalog.load import load_catalog
from kmon.catalog.resolve import custom_target
from kmon.catalog.url_variables import url_env
from kmon.config.settings import SETTINGS
from kmon.config.sources import load_settings
from kmon.errors import UsageError

KEY = "sk-s3cr3t-0123456789"
CATALOG = load_catalog()
EXAMPLE = Path(__file__).parents[2] / ".env.example"


def dotenv(tmp_path: Path, text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    (tmp_path / ".env").write_text(text)
    return read_dotenv(tmp_path / ".env")


def test_a_real_variable_wins_over_the_file_and_each_knows_its_place(tmp_path: Path) -> None:
    values, _ = dotenv(tmp_path, f"TOGETHER_API_KEY=from-file\nGROQ_API_KEY={KEY}\n")
    env = Environment({"TOGETHER_API_KEY": "from-environment"}, values)
    assert env["TOGETHER_API_KEY"] == "from-environment"
    assert key_source(CATALOG.targets["together"], env) == "TOGETHER_API_KEY in environment"
    assert key_source(CATALOG.targets["groq"], env) == "GROQ_API_KEY in .env"
    assert key_source(CATALOG.targets["openai"], env) is None
    assert env.source("OPENAI_API_KEY") is None


def test_a_blank_variable_counts_as_not_set(tmp_path: Path) -> None:
    env = Environment({"TOGETHER_API_KEY": " "}, {"TOGETHER_API_KEY": f"{KEY}\n"})
    assert env["TOGETHER_API_KEY"] == KEY
    assert key_source(CATALOG.targets["together"], env) == "TOGETHER_API_KEY in .env"


def test_the_process_environment_is_not_touched(tmp_path: Path) -> None:
    before = dict(os.environ)
    (tmp_path / ".env").write_text(f"TOGETHER_API_KEY={KEY}\nPATH=/nowhere\n")
    load_settings({}, os.environ, tmp_path, tmp_path / "user")
    assert dict(os.environ) == before


def test_quotes_exports_comments_and_dollars_are_understood(tmp_path: Path) -> None:
    text = "\ufeff# keys\nexport A='one two'\nB=\"three\" # note\nC=a$HOME${HOME}\nD\nE=\n"
    values, complaints = dotenv(tmp_path, text)
    assert values == {"A": "one two", "B": "three", "C": "a$HOME${HOME}", "E": ""}
    assert complaints == ()


def test_a_line_that_is_nothing_is_pointed_out_without_its_text(tmp_path: Path) -> None:
    values, complaints = dotenv(tmp_path, f"A=1\nthis is {KEY}\nB=2\n")
    assert values == {"A": "1", "B": "2"}
    assert complaints == (f"{tmp_path / '.env'} line 2 is not NAME=value and was skipped",)


def test_a_missing_file_and_a_directory_of_that_name_hold_nothing(tmp_path: Path) -> None:
    assert read_dotenv(tmp_path / ".env") == ({}, ())
    (tmp_path / ".env").mkdir()
    assert read_dotenv(tmp_path / ".env") == ({}, ())


def test_a_file_that_is_not_text_is_refused_without_a_byte_of_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=" + KEY.encode() + b"\xff\n")
    with pytest.raises(UsageError, match="is not UTF-8 text") as refused:
        read_dotenv(tmp_path / ".env")
    assert KEY not in str(refused.value)
    assert refused.value.__suppress_context__


def test_the_first_variable_that_is_set_holds_the_key() -> None:
    coding = CATALOG.targets["kimi-coding"]
    assert key_source(coding, Environment({"KIMI_API_KEY": KEY})) == "KIMI_API_KEY in environment"
    both = Environment({"KIMI_API_KEY": KEY, "KIMI_CODE_API_KEY": KEY})
    assert key_source(coding, both) == "KIMI_CODE_API_KEY in environment"


def test_a_target_without_key_variables_needs_none() -> None:
    ollama = CATALOG.targets["ollama"]
    assert has_key(ollama, Environment({}))
    assert key_source(ollama, Environment({})) is None
    assert key_problem(ollama, Environment({})) is None


def test_a_missing_key_is_one_sentence_that_says_what_to_do() -> None:
    assert key_problem(CATALOG.targets["fireworks"], Environment({})) == (
        "FIREWORKS_API_KEY is not set (needed by target fireworks); put it in .env or run 'kmon --demo'"
    )


@pytest.mark.parametrize("bad", [f"{KEY} {KEY}", f"{KEY}\r\nX-Evil: 1", f"{KEY}é", f"{KEY}\x00"])
def test_a_key_that_cannot_be_sent_is_refused_without_repeating_it(bad: str) -> None:
    problem = key_problem(CATALOG.targets["groq"], Environment({}, {"GROQ_API_KEY": bad}))
    assert problem is not None and problem.startswith("GROQ_API_KEY in .env has spaces or characters no key has")
    assert KEY not in problem


def test_a_key_does_not_go_over_plain_http_to_another_machine() -> None:
    env = Environment({"MY_KEY": KEY})
    assert key_problem(custom_target("http://llm.example:8000/v1", "m", "chat", "MY_KEY"), env) == (
        "target llm.example:8000 would send MY_KEY in environment to llm.example:8000 for all to read; use https://"
    )
    for fine in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "https://llm.example/v1"):
        assert key_problem(custom_target(fine, "m", "chat", "MY_KEY"), env) is None
    assert key_problem(custom_target("http://llm.example/v1", "m"), env) is None


def test_a_key_is_used_for_one_target_only() -> None:
    env = Environment({"MOONSHOT_API_KEY": KEY, "GROQ_API_KEY": KEY})
    assert [target.name for target in keyed_targets(CATALOG.targets.values(), env)] == ["groq", "moonshot"]


def test_no_repr_shows_a_key(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"TOGETHER_API_KEY={KEY}\n")
    loaded = load_settings({}, {"GROQ_API_KEY": KEY}, tmp_path, tmp_path / "user")
    assert loaded.env["TOGETHER_API_KEY"] == loaded.env["GROQ_API_KEY"] == KEY
    hooked = load_settings({"alert_webhook": f"https://hooks.example.com/{KEY}"}, {}, tmp_path, tmp_path / "user")
    for shown in (repr(hooked), repr(loaded), str(loaded), repr(loaded.env), str(loaded.env), f"{loaded.catalog}"):
        assert KEY not in shown


def test_the_example_lists_every_variable_kmon_reads() -> None:
    listed = set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", EXAMPLE.read_text(), re.MULTILINE))
    keys = {variable for target in CATALOG.targets.values() for variable in target.key_env}
    places = {variable for target in CATALOG.targets.values() for variable in url_env(target)}
    settings = {f"KMON_{name.upper()}" for name, rule in SETTINGS.items() if not rule.own}
    assert listed == keys | places | settings | {"AWS_REGION"}


def test_the_example_is_a_valid_file_that_sets_nothing() -> None:
    values, complaints = read_dotenv(EXAMPLE)
    assert complaints == ()
    assert not any(values.values())
    assert len(Environment({}, values)) == 0


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    shown = re.sub(r"^#(KMON_)", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
    (tmp_path / ".env").write_text(shown)
    assert (
        load_settings({}, {}, tmp_path, tmp_path / "user").settings
        == load_settings({}, {}, tmp_path / "empty", tmp_path / "user").settings
    )


def test_a_giant_of_that_name_is_no_dotenv_file(tmp_path: Path) -> None:
    with (tmp_path / ".env").open("wb") as file:
        file.truncate(80 << 20)
    with pytest.raises(UsageError, match=r"\.env is larger than 1048576 bytes"):
        read_dotenv(tmp_path / ".env")
