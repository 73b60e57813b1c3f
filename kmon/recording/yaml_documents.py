"""Reads YAML as plain data, whatever tags a program of another language put into it, and bounded in depth."""

from __future__ import annotations

from typing import Any

import yaml

DEPTH_LIMIT = 100
"""Levels of nesting; cassettes have about ten. The YAML composer recurses per level, in C without a limit."""

_BASE: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _PlainLoader(_BASE):  # type: ignore[misc, valid-type]
    """A safe loader that turns language tags (``!!python/...``, ``!ruby/...``) into plain data, never objects."""


def _plain(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> object:
    """The data under an unknown tag. A one-element sequence is a constructor call (``istr("Accept")``)."""
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        parts = loader.construct_sequence(node, deep=True)
        return parts[0] if len(parts) == 1 else tuple(parts)
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return None


_PlainLoader.add_multi_constructor("tag:yaml.org,2002:python/", _plain)
_PlainLoader.add_multi_constructor("!", _plain)
_PlainLoader.add_constructor("!binary", yaml.SafeLoader.construct_yaml_binary)
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _BASE.yaml_implicit_resolvers.items()
}  # without timestamps: a date in a cassette stays text


def documents(data: bytes) -> list[Any]:
    """All YAML documents in ``data``. Raises ``ValueError`` with the problem and its line."""
    try:
        _check_depth(data)
        return list(yaml.load_all(data, _PlainLoader))
    except _TooDeepError as exc:
        raise ValueError(f"it is nested more than {DEPTH_LIMIT} levels deep on line {exc.args[0]}") from None
    except yaml.MarkedYAMLError as exc:
        line = f" on line {exc.problem_mark.line + 1}" if exc.problem_mark else ""
        raise ValueError(f"{exc.problem or exc.context or 'bad YAML'}{line}") from None
    except yaml.YAMLError as exc:
        raise ValueError(" ".join(str(exc).split())) from None
    except (TypeError, ValueError, OverflowError, RecursionError, LookupError, AttributeError) as exc:
        raise ValueError(f"unreadable YAML ({type(exc).__name__})") from None


class _TooDeepError(Exception):
    """Nesting above ``DEPTH_LIMIT``; the argument is the line, from 1."""


def _check_depth(data: bytes) -> None:
    """Raise :class:`_TooDeepError` for deep nesting, from the parser's events, which need no recursion."""
    depth = 0
    for event in yaml.parse(data, _PlainLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_LIMIT:
                raise _TooDeepError(event.start_mark.line + 1 if event.start_mark else 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
