"""Promises about where kmon logs: every handler that takes any error does, and no call passes content on."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

KMON = Path(__file__).parents[2] / "kmon"
BROAD = {"Exception", "BaseException"}
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
WITH_TRACEBACK = {"exception"}
KNOWN = {("logs/log.py", "emit"), ("logs/lines.py", "_message"), ("cli.py", "_run_command")}
"""In the log itself nothing can be logged any more; the command line has one function that does, for two handlers."""
CONTENT = {
    "text", "content", "reasoning", "raw", "body", "data", "head", "headers", "message", "messages", "detail", "said",
    "error", "exc", "key", "keys", "secret", "secrets", "token", "url", "query", "arguments", "frame", "chunk",
}  # fmt: skip
"""Names of what came from outside, or holds it."""


@cache
def sources() -> Sequence[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text())) for path in sorted(KMON.rglob("*.py"))]


def is_broad(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(is_broad(one) for one in caught.elts)
    return caught is None or (isinstance(caught, ast.Name) and caught.id in BROAD)


def logs(node: ast.AST) -> bool:
    """Whether a call in ``node`` logs with the traceback."""
    return any(
        call.func.attr in WITH_TRACEBACK or any(keyword.arg == "exc_info" for keyword in call.keywords)
        for call in log_calls(node)
    )


def log_calls(node: ast.AST) -> Iterator[ast.Call]:
    for call in ast.walk(node):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in LEVELS):
            continue
        logger = ast.unparse(call.func.value)
        if logger == "_log" or logger.startswith("logging.getLogger("):
            yield call


def reraises(handler: ast.ExceptHandler) -> bool:
    """Whether every way through the handler ends in a ``raise``: it is its last statement."""
    return isinstance(handler.body[-1], ast.Raise)


def silent(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Function and line of whatever takes any error and neither logs nor raises it."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for node in ast.walk(tree):
        quiet = False
        if isinstance(node, ast.ExceptHandler):
            quiet = is_broad(node.type) and not logs(node) and not reraises(node)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            quiet = (name.endswith("suppress") and any(map(is_broad, node.args))) or any(
                keyword.arg == "return_exceptions" for keyword in node.keywords
            )
        if quiet:
            around = [one for one in functions if one.lineno <= node.lineno <= (one.end_lineno or 0)]  # type: ignore[attr-defined]
            yield (around[-1].name if around else ""), node.lineno  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "source",
    [
        "try:\n f()\nexcept Exception:\n pass",
        "try:\n f()\nexcept (ValueError, BaseException) as e:\n g(e)",
        "try:\n f()\nexcept:\n _log.warning('lost')",
        "with contextlib.suppress(Exception):\n f()",
        "asyncio.gather(f(), return_exceptions=True)",
        "try:\n f()\nexcept Exception:\n if x:\n  raise",
    ],
)
def test_the_rule_finds_what_it_is_for(source: str) -> None:
    assert len(list(silent(ast.parse(source)))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "try:\n f()\nexcept Exception:\n _log.exception('lost')",
        "try:\n f()\nexcept Exception as e:\n _log.error('lost', exc_info=e)",
        "try:\n f()\nexcept BaseException:\n g()\n raise",
        "try:\n f()\nexcept ValueError:\n pass",
    ],
)
def test_the_rule_lets_pass_what_is_right(source: str) -> None:
    assert not list(silent(ast.parse(source)))


@pytest.mark.slow
def test_whatever_takes_any_error_logs_it_or_raises_it_again() -> None:
    found = {(str(path.relative_to(KMON)), *place) for path, tree in sources() for place in silent(tree)}
    assert {place for place in found if place[:2] not in KNOWN} == set()
    assert {place[:2] for place in found} == KNOWN


def test_no_log_call_passes_content_on() -> None:
    """A record's words are kmon's own, and what it fills in is a number or a name of kmon's."""
    calls = [(path, call) for path, tree in sources() for call in log_calls(tree)]
    assert len(calls) > 15
    for path, call in calls:
        place = f"{path.relative_to(KMON)}:{call.lineno}"
        words, *filled = call.args
        assert isinstance(words, ast.Constant) and isinstance(words.value, str), place
        for one in filled:
            last = one.attr if isinstance(one, ast.Attribute) else one.id if isinstance(one, ast.Name) else ""
            assert last not in CONTENT, place
            assert not isinstance(one, ast.JoinedStr | ast.Subscript), place


@pytest.mark.slow
def test_loggers_are_named_by_their_modules() -> None:
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_log":
                assert ast.unparse(node.value) == "logging.getLogger(__name__)", path
