"""Promises about finding things in TOML: the right line, whatever stands around it."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.catalog.toml_lines import KeyPath
from kmon.catalog.toml_source import parse_toml, read_toml
from kmon.errors import UsageError

TEXT = '''\
# [defaults] is not here, and neither is stall_s = 1
[targets.decoy]
quirks = ["""
[defaults]
stall_s = 9
"""]

["defaults"]
"stall_s" = 5
timeout_s = 7 # stall_s

[targets.mine]
body.provider.only = ["a"]
headers = { X-One = "1", X-Two = "2" }

[[scenarios.s.messages]]
role = "user"
[[scenarios.s.messages]]
role = "user"
[scenarios.s.messages.more]
"r\\u006fle" = [ # ]
  "]", \'\'\'
[not.a.header]\'\'\'\'\', { deep = 1 } ]
[scenarios]
t.title = "t"
'''


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("defaults",), 8),
        (("defaults", "stall_s"), 9),
        (("defaults", "timeout_s"), 10),
        (("targets", "decoy"), 2),
        (("targets", "mine"), 12),
        (("targets", "mine", "body", "provider"), 13),
        (("targets", "mine", "headers", "X-Two"), 14),
        (("scenarios", "s", "messages", 0), 16),
        (("scenarios", "s", "messages", 1, "role"), 19),
        (("scenarios", "s", "messages", 1, "more"), 20),
        (("scenarios", "s", "messages", 1, "more", "role"), 21),
        (("scenarios", "s", "messages", 1, "more", "role", 2, "deep"), 21),
        (("scenarios", "t", "title"), 25),
        (("targets", "mine", "missing"), 12),
        (("nowhere",), 1),
    ],
)
def test_the_line_of_a_key_is_where_it_is_first_defined(keys: KeyPath, line: int) -> None:
    assert parse_toml(Path("kmon.toml"), TEXT).line_of(keys) == line


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a = 1\nstall_s = \n", "kmon.toml line 2, key 'stall_s': not valid TOML (invalid value); fix that line"),
        ("[defaults\n", "kmon.toml line 1: not valid TOML"),
        ("a = 1\n\na = 2\n", "kmon.toml line 3, key 'a': not valid TOML (cannot overwrite a value)"),
        ("x = 'abc", "kmon.toml line 1, key 'x': not valid TOML"),
        ("x = " + "[" * 5000, "kmon.toml is nested too deeply"),
        ("x = " + "1" * 5000, "kmon.toml has a number too long"),
    ],
)
def test_a_syntax_error_is_found_by_file_and_line(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_toml(Path("kmon.toml"), text)
    assert sentence in str(refused.value)


FEW_STATEMENTS = "[defaults]\nstall_s = 3\nlost = 1\n"


@pytest.mark.slow
@pytest.mark.timeout(10)  # each took a minute, or hours, where every line was tried anew
@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("# stall_s lost\n" * 20_000 + FEW_STATEMENTS, 20_003, id="comments"),
        pytest.param("".join(f"lost{at} = 1\n" for at in range(20_000)) + FEW_STATEMENTS, 20_003, id="keys"),
        pytest.param("".join(f"[lost.t{at}]\n" for at in range(20_000)) + FEW_STATEMENTS, 20_003, id="tables"),
        pytest.param("[[lost]]\n" * 20_000 + FEW_STATEMENTS, 20_003, id="arrays of tables"),
        pytest.param('x = """' + 'lost "" \n' * 20_000 + '"""\n' + FEW_STATEMENTS, 20_004, id="one string"),
        pytest.param("x = [" + "'lost',\n" * 20_000 + "]\n" + FEW_STATEMENTS, 20_004, id="one array"),
        pytest.param("# " + "lost " * 40_000 + "\n" + FEW_STATEMENTS, 4, id="one line"),
        pytest.param("['" + "l'.'" * 31 + "']\n" + "".join(f"k{at} = 1\n" for at in range(20_000)) + FEW_STATEMENTS,
                     20_004, id="below a deep header"),
    ],
)  # fmt: skip
def test_a_line_is_found_in_time_that_grows_as_the_file_does(text: str, line: int) -> None:
    source = parse_toml(Path("kmon.toml"), text)
    assert source.line_of(("defaults", "lost")) == line
    assert {source.line_of(("defaults", f"unknown{at}")) for at in range(1_000)} == {line - 2}


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\n" + "a." * 200_000 + "a = 1\n", id="key"),
        pytest.param("\n[" + "a." * 200_000 + "a]\n", id="header"),
        pytest.param("\nx = {" + "a . " * 200_000 + "a = 1}\n", id="inline table"),
        pytest.param("\nx = [1.5, {" + "'a'." * 200_000 + "a = 1}]\n", id="inline table in an array"),
    ],
)
def test_a_key_without_end_is_refused_before_the_parser_walks_it_again_and_again(text: str) -> None:
    with pytest.raises(UsageError, match=r"kmon\.toml line 2 is nested too deeply to be read; flatten it"):
        parse_toml(Path("kmon.toml"), text)


def test_many_numbers_with_a_dot_are_no_long_key() -> None:
    assert len(parse_toml(Path("kmon.toml"), "x = [" + "1.5, " * 100 + "]").table["x"]) == 100


@given(st.text(max_size=200))
def test_any_text_is_either_read_or_refused_in_one_line(text: str) -> None:
    try:
        parse_toml(Path("kmon.toml"), text)
    except UsageError as refused:
        assert "kmon.toml" in str(refused) and "\n" not in str(refused)


def test_a_missing_file_is_no_mistake(tmp_path: Path) -> None:
    assert read_toml(tmp_path / "kmon.toml") is None


def test_a_file_that_is_not_utf8_is_refused_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "kmon.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(UsageError, match=r"kmon\.toml line 2 is not UTF-8"):
        read_toml(tmp_path / "kmon.toml")


def test_a_directory_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kmon.toml").mkdir()
    with pytest.raises(UsageError, match=r"cannot read .*kmon\.toml: it is not a regular file"):
        read_toml(tmp_path / "kmon.toml")


def test_a_file_of_absurd_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kmon.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(UsageError, match="no settings file"):
        read_toml(tmp_path / "kmon.toml")


def test_a_pipe_of_that_name_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "kmon.toml")
    with pytest.raises(UsageError, match=r"cannot read .*kmon\.toml: it is not a regular file"):
        read_toml(tmp_path / "kmon.toml")
