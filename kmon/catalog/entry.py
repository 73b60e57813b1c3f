"""One target or scenario while its tables are merged, and the checks of the result beyond the types of its keys."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from kmon.address import base_url_problem, env_name_problem, model_problem
from kmon.catalog.aws import FALLBACK_REGION, is_region
from kmon.catalog.long_prompt import MARK, STEPS_LIMIT, TOKENS_LIMIT
from kmon.catalog.toml_lines import KeyPath
from kmon.catalog.toml_source import TomlSource
from kmon.catalog.url_variables import URL_VARIABLES, unknown_in, with_examples
from kmon.dialects.dialect import Dialect
from kmon.dialects.registry import dialect, names
from kmon.errors import UsageError
from kmon.model import DEFAULT_DIALECT, REGION, PassLimits, PromptMessage, Scenario

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_TARGET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)?\Z")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie"}
)
_FRAMING_HEADERS = frozenset({
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect",
    "forwarded", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-original-host", "x-rewrite-url",
})  # fmt: skip
"""Headers that route or delimit a request: with them a proxy could send the key to another host."""
LONGEST_LIMIT_S = 86_400
LIKE_LIMIT = 20
"""Longest chain of scenarios that inherit by ``like``."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A target or scenario table merged from several files, with the origin of each key."""

    kind: str
    name: str
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, tuple[TomlSource, str]] = field(default_factory=dict)
    """Per key: the file, and the name of the table in it (that of the parent, if inherited)."""
    last: TomlSource | None = None

    def overlaid(self, source: TomlSource, table: dict[str, Any]) -> Entry:
        """This entry, with its keys overridden by those of ``table``."""
        origins = dict.fromkeys(table, (source, self.name))
        return Entry(self.kind, self.name, self.values | table, self.origins | origins, source)

    def inheriting(self, entries: dict[str, Entry]) -> Entry:
        """This entry, with missing keys inherited along the chain of ``like``. Raises :class:`UsageError`."""
        values, origins, seen = dict(self.values), dict(self.origins), [self.name]
        while (parent := values.pop("like", None)) is not None:
            source, table = origins.pop("like")
            if parent in seen:
                raise source.error((self.kind, table, "like"), f"{' is like '.join([*seen, parent])}; break the circle")
            if parent not in entries:
                raise source.error((self.kind, table, "like"), f"there is no {parent!r} to be like")
            if len(seen) > LIKE_LIMIT:
                problem = f"the chain from {self.name!r} is longer than {LIKE_LIMIT}; write out what it needs"
                raise source.error((self.kind, table, "like"), problem)
            values, origins = entries[parent].values | values, entries[parent].origins | origins
            seen.append(parent)
        return Entry(self.kind, self.name, values, origins, self.last)

    def error(self, key: str, problem: str, *rest: str | int) -> UsageError:
        """An error about ``key`` with the file and line of it, or of the table if no file has the key."""
        if key in self.origins:
            source, table = self.origins[key]
            return source.error((self.kind, table, key, *rest), problem)
        path: KeyPath = (self.kind, self.name)
        return self.last.error(path, problem) if self.last else UsageError(problem)


def check_target(entry: Entry) -> None:
    """Raise :class:`UsageError` for the first value that is not valid in a target."""
    _check_name(entry, _TARGET_NAME)
    given = entry.values
    for key in ("base_url", "model"):
        if key not in given:
            raise entry.error(key, f"target {entry.name!r} has no {key}; add one")
    spoken = _dialect(entry)
    _check_base_url(entry, spoken.schemes)
    for key in ("model", "control_model"):
        if key in given and (problem := model_problem(given[key])):
            raise entry.error(key, problem)
    if not _NAME.match(given.get("provider", provider_of(entry))):
        raise entry.error("provider", "a provider's name has letters, digits, dots and dashes only")
    for at, name in enumerate(given.get("key_env", ())):
        if problem := env_name_problem(name):
            raise entry.error("key_env", problem, at)
    _check_region_and_template(entry)
    _check_headers(entry)
    for member in sorted(spoken.own_members & given.get("body", {}).keys()):
        raise entry.error("body", "is decided by the target and the scenario; take it out of the body", member)


def provider_of(entry: Entry) -> str:
    """The default provider of a target: its name up to the first slash."""
    return entry.name.partition("/")[0]


def check_scenario(entry: Entry, scenario: Scenario | None) -> Scenario:
    """Return ``scenario`` if it is valid; raise :class:`UsageError` otherwise."""
    _check_name(entry)
    if scenario is None or not scenario.messages:
        raise entry.error("messages", f"scenario {entry.name!r} has no messages; add at least one")
    if not scenario.title.isprintable():
        raise entry.error("title", "must be one line without control or direction characters; take them out")
    if scenario.max_tokens < 1:
        raise entry.error("max_tokens", "must be at least 1")
    names = [tool.name for tool in scenario.tools]
    if len(set(names)) < len(names) or "" in names:
        raise entry.error("tools", "every tool needs a name of its own")
    if scenario.tool_choice is not None and not names:
        raise entry.error("tool_choice", "there are no tools to choose from; add tools or take it out")
    _check_conversation(entry, scenario.messages)
    _check_expectation(entry, scenario)
    _check_limits(entry, scenario)
    _check_chain(entry, scenario)
    marked = any(MARK in message.content for message in scenario.messages)
    if scenario.filler_tokens is not None and not (marked and 1 <= scenario.filler_tokens <= TOKENS_LIMIT):
        raise entry.error("filler_tokens", f"must be 1 to {TOKENS_LIMIT}, and a message must say {MARK}")
    return scenario


def _check_name(entry: Entry, shape: re.Pattern[str] = _NAME) -> None:
    if not shape.match(entry.name):
        raise entry.error("", "a name has letters, digits, dots, dashes and underscores only; rename it")


def _dialect(entry: Entry) -> Dialect:
    name = entry.values.get("dialect", DEFAULT_DIALECT)
    if name not in names():
        raise entry.error("dialect", f"invalid enum value {name!r}; use one of {', '.join(names())}")
    spoken = dialect(name)
    if spoken.transport == "aws" and entry.values.get("auth") != "aws":
        raise entry.error("auth", f'the {name} dialect is signed by AWS\'s rules; write auth = "aws"')
    return spoken


def _check_base_url(entry: Entry, schemes: tuple[str, ...]) -> None:
    base_url = entry.values["base_url"]
    if unknown := unknown_in(base_url):
        known = ", ".join([REGION, *(f"{{{name}}}" for name in URL_VARIABLES)])
        raise entry.error("base_url", f"has the variable {unknown}, which kmon does not fill in; use one of {known}")
    if problem := base_url_problem(with_examples(base_url.replace(REGION, FALLBACK_REGION)), schemes):
        raise entry.error("base_url", problem)


def _check_region_and_template(entry: Entry) -> None:
    given = entry.values
    for key, regions in (("region", [given.get("region")]), ("regions", given.get("regions", ()))):
        if not all(name is None or is_region(name) for name in regions):
            raise entry.error(key, "is no name of an AWS region, such as us-east-1")
    for role in ("system", "user", "assistant"):
        if "{content}" not in given.get("template", {}).get(role, "{content}"):
            raise entry.error("template", "must say {content} where the message goes", role)


def _check_headers(entry: Entry) -> None:
    for name, value in entry.values.get("headers", {}).items():
        if name.lower() in _SECRET_HEADERS:
            raise entry.error("headers", "credentials do not belong in this file; use .env and key_env", name)
        if name.lower() in _FRAMING_HEADERS or name.lower().startswith(("proxy-", "sec-")):
            raise entry.error("headers", "says where a request goes or ends, which base_url decides; take it out", name)
        if not _HEADER_NAME.match(name) or not value.isascii() or not value.isprintable():
            raise entry.error("headers", "is not a header that can be sent", name)


def _check_conversation(entry: Entry, messages: tuple[PromptMessage, ...]) -> None:
    calls: set[str] = set()
    for at, message in enumerate(messages):
        calls |= {call.id for call in message.tool_calls}
        if message.tool_calls and message.role != "assistant":
            raise entry.error("messages", "only an assistant message can hold tool calls", at)
        if message.role == "tool" and message.tool_call_id not in calls:
            raise entry.error("messages", "a tool message needs the tool_call_id of an earlier call", at)
        if message.role in ("system", "user") and not message.content:
            raise entry.error("messages", f"a {message.role} message needs content", at)


def _check_expectation(entry: Entry, scenario: Scenario) -> None:
    if scenario.check.tool_call and not scenario.tools:
        raise entry.error("check", "there are no tools to call; add tools or take it out", "tool_call")
    for at, needle in enumerate(scenario.check.contains):
        if not needle.strip():
            raise entry.error("check", "is blank, so every answer contains it; say what must occur", "contains", at)


def _check_limits(entry: Entry, scenario: Scenario) -> None:
    for name in PassLimits.__struct_fields__:
        if not 0 <= getattr(scenario.limits, name) <= LONGEST_LIMIT_S:
            raise entry.error("limits", f"must be 0 (no limit) to {LONGEST_LIMIT_S} seconds", name)


def _check_chain(entry: Entry, scenario: Scenario) -> None:
    if scenario.chain is None:
        return
    if not 1 <= scenario.chain.steps <= STEPS_LIMIT:
        raise entry.error("chain", f"must be 1 to {STEPS_LIMIT}", "steps")
    for tool in scenario.tools:
        if tool.name not in scenario.chain.results:
            raise entry.error("chain", f"has no answer for the tool {tool.name!r}; add one", "results")
