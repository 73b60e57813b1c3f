"""YAML of cassettes, read safely: language tags (``!!python/...``, ``!ruby/...``) become plain data, never objects."""

from __future__ import annotations

from typing import Any

import yaml

_BASE: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _PlainLoader(_BASE):  # type: ignore[misc, valid-type]
    """A safe loader that looks through unknown tags instead of refusing them."""


def _plain(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> object:
    """The data under an unknown tag. One-element sequences are an applied constructor (``istr("Accept")``)."""
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
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _BASE.yaml_implicit_resolvers.items()
}  # a date in a cassette is text


def documents(data: bytes) -> list[Any]:
    """All documents in ``data``. Raises ValueError, saying what is wrong on which line."""
    try:
        return list(yaml.load_all(data, _PlainLoader))
    except yaml.MarkedYAMLError as exc:
        line = f" on line {exc.problem_mark.line + 1}" if exc.problem_mark else ""
        raise ValueError(f"{exc.problem or exc.context or 'bad YAML'}{line}") from None
    except yaml.YAMLError as exc:
        raise ValueError(" ".join(str(exc).split())) from None
    except (TypeError, ValueError, OverflowError, RecursionError, LookupError, AttributeError) as exc:
        raise ValueError(f"unreadable YAML ({type(exc).__name__})") from None
