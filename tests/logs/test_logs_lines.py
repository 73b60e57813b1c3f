"""Promises of a record: text from outside cannot forge one, it holds neither keys nor content, and it is of use."""

from __future__ import annotations

import base64
import logging
import ssl
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.logs.lines import FRAMES_LIMIT, OVERHEARD_LIMIT, RECORD_LIMIT_CHARS, LogLines, harmless, secret_values, traced
from kmon.redaction.redact import redaction

KEY = "sk-canary-key-0123456789ab"


def content() -> str:
    """What no log may hold; put together here, as tracebacks show the source."""
    return "-".join(("canary", "content"))


def line_of(said: str, *arguments: object, error: BaseException | None = None, secrets: tuple[str, ...] = ()) -> str:
    lines = LogLines(redaction)
    lines.hide(secrets)
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    return lines.format(logging.LogRecord("kmon.test", logging.ERROR, "", 0, said, arguments, exc_info))


def test_keys_of_a_watched_program_are_hidden_and_the_latest_of_them_are_remembered() -> None:
    lines = LogLines(redaction)

    def written(key: str) -> bool:
        return key in lines.format(logging.LogRecord("kmon.test", logging.ERROR, "", 0, "sent %s", (key,), None))

    lines.hide((KEY,))
    cookies = [f"session-cookie-{number:06}" for number in range(OVERHEARD_LIMIT + 1)]
    assert written(cookies[0])
    for cookie in cookies:
        lines.hide_overheard((cookie, "short"))
        if cookie is cookies[1]:
            assert not written(cookies[0])
    assert not written(cookies[-1]) and not written(cookies[1]) and not written(KEY)
    assert written(cookies[0])


def raised_by(act: Callable[[], object]) -> BaseException:
    try:
        act()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def composed() -> None:
    raise ValueError(f"cannot take {content()}")


def foreign() -> None:
    raise OSError(5, content(), content())


def of_a_group() -> None:
    raise ExceptionGroup(content(), [raised_by(composed), KeyError(content())])  # type: ignore[list-item]


def chained() -> None:
    try:
        composed()
    except ValueError as error:
        raise RuntimeError(content()) from error


def while_handling() -> None:
    try:
        composed()
    finally:
        int(content())


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError(content())


def speechless() -> None:
    raise SpeechlessError


def named_argument() -> None:
    (lambda: None)(**{content(): 1})


def deep(depth: int = 0) -> None:
    if depth > 300:
        raise ValueError(content())
    deep(depth + 1)


CAUSES: dict[str, Callable[[], object]] = {
    "composed": composed,
    "a key of a dict": lambda: {}[content()],
    "a key of bytes": lambda: {}[content().encode()],
    "no number": lambda: int(content()),
    "a long one": lambda: int(content() + "'" * 3 + content() * 20),
    "no float": lambda: float(f"it's {content()}"),
    "an attribute": lambda: getattr("", content()),
    "an argument": named_argument,
    "not in a list": lambda: [].index(content()),
    "of the system": foreign,
    "of the system, and real": lambda: open(f"/{content()}"),  # noqa: SIM115, PTH123
    "not ASCII": lambda: f"{content()}é".encode("ascii"),
    "a group": of_a_group,
    "chained": chained,
    "while handling": while_handling,
    "speechless": speechless,
    "deep": deep,
    "a loop's end": lambda: next(iter([]), None) or (_ for _ in ()).throw(StopIteration(content())),
    "TLS": lambda: ssl.create_default_context(cadata=content()),
    "an import": lambda: __import__(content()),
    "an assertion": lambda: (_ for _ in ()).throw(AssertionError(content())),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_no_content_is_in_a_traceback(cause: str) -> None:
    error = raised_by(CAUSES[cause])
    written = line_of("it failed", error=error)
    assert content() not in written, written
    assert f"    {type(error).__name__}" in written or f".{type(error).__qualname__}" in written, written
    assert "test_log_lines.py" in written or "tests/" in written


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: None.foo, "AttributeError: 'NoneType' object has no attribute 'foo'"),  # type: ignore[attr-defined]
        (lambda: "" + 1, 'TypeError: can only concatenate str (not "int") to str'),  # type: ignore[operator]
        (lambda: [1][2], "IndexError: list index out of range"),
        (lambda: int("abc"), "ValueError: invalid literal for int() with base 10: (quoted)"),
        (lambda: open("/nowhere/at/all"), "FileNotFoundError: [Errno 2] No such file or directory"),  # noqa: SIM115, PTH123
        (composed, "ValueError (a message of 26 characters)"),
    ],
)
def test_what_the_interpreter_says_of_the_code_is_kept(act: Callable[[], object], words: str) -> None:
    assert f"    {words}\n" in line_of("it failed", error=raised_by(act))


def test_a_traceback_shows_the_place_and_its_cause_without_end() -> None:
    written = line_of("it failed", error=raised_by(chained)).splitlines()
    assert written[0].endswith("it failed") and all(line.startswith("    ") for line in written[1:])
    assert any('raise ValueError(f"cannot take' in line for line in written)
    assert any("caused by ValueError" in line for line in written)
    frames = [line for line in traced(raised_by(deep)) if line.startswith("  ")]
    assert len(frames) == FRAMES_LIMIT + 1 and any("frames left out" in line for line in frames)
    a, b = ValueError(), KeyError()
    a.__cause__, b.__cause__ = b, a
    assert len(list(traced(a))) == 2


@given(st.text())
def test_a_record_is_one_line_that_nothing_obeys(text: str) -> None:
    line = line_of("%s", text)
    assert line.isprintable() and len(line.splitlines()) == 1
    assert harmless(text).isprintable()


def test_a_record_is_bounded() -> None:
    many = ExceptionGroup("many", [raised_by(deep) for _ in range(50)])  # type: ignore[list-item]
    assert len(line_of("x" * 10_000, error=many)) <= RECORD_LIMIT_CHARS + 20


@pytest.mark.parametrize("form", [KEY, KEY.upper(), base64.b64encode(KEY.encode()).decode(), KEY.encode().hex()])
def test_a_key_is_left_out_in_any_form(form: str) -> None:
    assert form not in line_of("%s", f"a {form} b", secrets=(KEY,))
    assert "[key]" in line_of("%s", f"a {form} b", secrets=(KEY,))


def test_the_environment_says_what_is_secret() -> None:
    secrets = secret_values({"MY_API_KEY": KEY, "HTTPS_PROXY": "http://user:hunter2222@h:1", "LANG": "C.UTF-8"})
    assert KEY in secrets and "hunter2222" in secrets and "C.UTF-8" not in secrets


def test_an_installed_package_is_named_without_its_place() -> None:
    written = line_of("it failed", error=raised_by(lambda: redaction(("x" * 20,))(None)))  # type: ignore[arg-type]
    assert " kmon/redaction/" in written
    assert f" {sys.prefix}" not in written
