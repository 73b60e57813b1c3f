"""A profile: rules that give requests their faults, and the pace of tokens. A TOML file.

[[rule]]                      # the first rule that matches decides; without one the answer is smooth
provider = "together"         # with * as a wildcard; model likewise
dialect = "chat"              # by any name that `kmon run --dialect` takes for HTTP
tools = true                  # only requests that offer tools; tool_result and nudge likewise
prompt_chars = 4000           # only conversations at least so long; include_usage = true: only requests for usage
stream = true                 # only answers that are streamed
probability = 0.4             # exactly four of every ten equal requests (see struck()); the seed decides which
episode = 5                   # the faults of probability come in outages of five such requests in a row
first = 2                     # only the first two requests of one conversation: a client that retries succeeds then
fault = "stall"               # does not apply to a request whose dialect cannot have it
duration_s = [15, 30]         # the fault's own parameters

[places]                      # providers at an address that fails before any request is read (see endpoints.py)
nvidia = "refused"

[pace]                        # for all; [pace.NAME] for a provider or provider/model
tokens_per_s = 55
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from kmon.catalog.toml_source import TomlSource, parse_toml, read_toml
from kmon.errors import UsageError
from kmon.simulator.dialects.chat import CHAT
from kmon.simulator.dialects.registry import names_with, server_dialect
from kmon.simulator.endpoints import PLACES
from kmon.simulator.faults.base import Fault, Smooth
from kmon.simulator.faults.path import ClockSkew
from kmon.simulator.faults.registry import FaultError, from_header, read_fault
from kmon.simulator.pacing import Pace, PaceChange, matches
from kmon.simulator.wire import ServerDialect

KEYS = ("title", "rule", "places", "pace")
FLOOR = Pace(ttft_s=0.4, tokens_per_s=50.0, jitter=0.4, reasoning_tokens=0)
"""The pace when no table sets one."""
DECK = 10
"""Requests per deck of :func:`struck`."""


class Facts(Struct, frozen=True):
    """What rules can test of a request."""

    provider: str
    model: str
    tools: bool
    tool_result: bool
    nudge: bool
    dialect: str = CHAT.name
    include_usage: bool = False
    prompt_chars: int = 0
    """Of all messages."""
    stream: bool = True

    @property
    def counted(self) -> Facts:
        """The facts by which equal requests are counted for ``probability``; the length does not matter there."""
        return replace(self, prompt_chars=0)


class Match(Struct, frozen=True, forbid_unknown_fields=True):
    """The conditions of a rule; all must hold."""

    provider: str = "*"
    model: str = "*"
    dialect: str | None = None
    tools: bool | None = None
    tool_result: bool | None = None
    nudge: bool | None = None
    first: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    include_usage: bool | None = None
    stream: bool | None = None
    prompt_chars: Annotated[int, Meta(ge=0, le=100_000_000)] = 0
    probability: Annotated[float, Meta(ge=0, le=1)] = 1.0
    episode: Annotated[int, Meta(ge=1, le=1_000_000)] = 1

    def holds(self, facts: Facts) -> bool:
        """Whether all conditions hold but ``first``, and ``probability`` with its ``episode``."""
        return (
            fnmatchcase(facts.provider.lower(), self.provider.lower())
            and fnmatchcase(facts.model.lower(), self.model.lower())
            and self.dialect in (None, facts.dialect)
            and self.tools in (None, facts.tools)
            and self.tool_result in (None, facts.tool_result)
            and self.nudge in (None, facts.nudge)
            and self.include_usage in (None, facts.include_usage)
            and self.stream in (None, facts.stream)
            and facts.prompt_chars >= self.prompt_chars
        )


class FaultRule(Struct, frozen=True):
    """A fault and the requests that get it."""

    match: Match
    fault: Fault

    def applies(self, facts: Facts, *, turn: int, ordinal: int, key: str) -> bool:
        dialect = server_dialect(facts.dialect)
        return (
            dialect is not None
            and self.fault.needs <= dialect.traits
            and self.match.holds(facts)
            and (self.match.first is None or ordinal <= self.match.first)
            and struck(self.match.probability, turn, key, self.match.episode)
        )


class Profile(Struct, frozen=True):
    """Rules in order, and paces in the order in which they are applied."""

    name: str
    rules: tuple[FaultRule, ...]
    paces: tuple[tuple[str, PaceChange], ...]
    places: tuple[tuple[str, str], ...] = ()
    """Patterns of provider names, and the place for each."""
    wanted: Fault | None = None
    """The fault that each request is to get, where it can have it."""

    def fault(self, facts: Facts, *, seed: int, turn: int, ordinal: int = 1) -> Fault:
        """The fault of the first rule that matches the ``turn``-th request of these facts; smooth when none does.

        ``ordinal`` counts the same conversation at the same provider.
        """
        key = f"{seed}/{facts.provider}/{facts.model}"
        return next(
            (
                rule.fault
                for number, rule in enumerate(self.rules)
                if rule.applies(facts, turn=turn, ordinal=ordinal, key=f"{key}/{number}")
            ),
            Smooth(),
        )

    def place(self, provider: str) -> str | None:
        """The place for ``provider``; None for the simulator itself."""
        return next((name for pattern, name in self.places if fnmatchcase(provider.lower(), pattern.lower())), None)

    def skew_s(self, provider: str) -> float:
        """The error of the clock of ``provider`` in s, for responses without a rule, such as its list of models."""
        for rule in self.rules:
            if isinstance(rule.fault, ClockSkew) and fnmatchcase(provider.lower(), rule.match.provider.lower()):
                return rule.fault.skew_s
        return 0.0

    def with_fault(self, name: str) -> Profile:
        """The same, but each request gets this fault, or goes to this place. Raises UsageError for neither."""
        fault = fault_or_place(name)
        if fault is None:
            return replace(self, places=(("*", name), *self.places))
        return replace(self, rules=(FaultRule(Match(), fault), *self.rules), wanted=fault)

    def unfit(self, dialect: ServerDialect, *, stream: bool) -> str:
        """Why such a request cannot have the fault that each is to get, as a sentence; empty when it can."""
        if self.wanted is None:
            return ""
        if (refusal := self.wanted.refusal(dialect)) or stream or not self.wanted.streams_only:
            return refusal
        return f"the fault {self.wanted.name} needs a stream, and none was asked for"

    def pace(self, provider: str, model: str) -> Pace:
        pace = FLOOR
        for name, change in self.paces:
            if matches(name, provider, model):
                pace = change.applied(pace)
        return pace


def fault_or_place(name: str) -> Fault | None:
    """The fault of ``--fault``; None for the name of a place. Raises UsageError for neither."""
    if name in PLACES:
        return None
    try:
        return from_header(name)
    except FaultError as error:
        more = f"; or a place: {', '.join(PLACES)}" if error.key == "fault" else ""
        raise UsageError(f"--fault {name[:80]}: {error}{more}") from None


def struck(probability: float, turn: int, key: str, episode: int = 1) -> bool:
    """Whether the ``turn``-th (from 1) of equal requests gets the fault.

    Requests 1-10, 11-20 and so on are a deck each, from which ``10 * probability`` are drawn without replacement; a
    fraction is carried over to the next deck. So ten requests at 0.4 have exactly four faults, where independent draws
    would have one to eight. ``key`` decides the order.

    With ``episode``, so many requests in a row are drawn as one; ``key`` decides where within them the first begins.
    """
    begun = Random(f"{key}/episode").randrange(episode)
    deck, place = divmod((turn - 1 + begun) // episode, DECK)
    share = DECK * probability
    count = int(round((deck + 1) * share, 9)) - int(round(deck * share, 9))
    return place in Random(f"{key}/{deck}").sample(range(DECK), count)


def built_in() -> tuple[str, ...]:
    """The names of the profiles in kmon's package."""
    folder = files("kmon.simulator").joinpath("profiles")
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


def load(name: str) -> Profile:
    """The built-in profile of that name, or the one in that file. Raises UsageError if it is missing or wrong."""
    if name in built_in():
        source = _shipped(f"profiles/{name}.toml")
    else:
        found = read_toml(Path(name))
        if found is None:
            known = ", ".join(built_in())
            raise UsageError(f"there is no profile {name!r}; use one of {known}, or the path of a TOML file")
        source = found
    paces = (*_paces(_shipped("pace.toml")), *_paces(source))
    return Profile(name, tuple(_rules(source)), paces, tuple(_places(source)))


def _shipped(name: str) -> TomlSource:
    return parse_toml(Path(name), files("kmon.simulator").joinpath(name).read_text("utf-8"))


def _rules(source: TomlSource) -> Iterator[FaultRule]:
    for key in source.table:
        if key not in KEYS:
            raise source.unknown([key], KEYS)
    tables = source.table.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise source.error(["rule"], "rules are written as [[rule]] tables")
    for index, table in enumerate(tables):
        yield _rule(source, index, table)


def _rule(source: TomlSource, index: int, table: dict[str, Any]) -> FaultRule:
    conditions = Match.__struct_fields__
    here: list[str | int] = ["rule", index]
    if "fault" not in table:
        raise source.error(here, f"the rule has no fault; add fault = NAME, for example {Smooth().name!r}")
    try:
        match = msgspec.convert({key: table[key] for key in conditions if key in table}, Match)
    except msgspec.ValidationError as error:
        raise source.invalid(here, error, conditions) from None
    try:
        fault = read_fault({key: value for key, value in table.items() if key not in conditions})
    except FaultError as error:
        raise source.error([*here, error.key], f"{error}; a rule also takes {', '.join(conditions)}") from None
    if match.dialect is not None:
        dialect = server_dialect(match.dialect)
        if dialect is None:
            known = ", ".join(names_with(frozenset()))
            raise source.error([*here, "dialect"], f"invalid enum value {match.dialect!r}; use one of {known}")
        if refused := fault.refusal(dialect):
            raise source.error([*here, "fault"], refused)
    return FaultRule(match, fault)


def _places(source: TomlSource) -> Iterator[tuple[str, str]]:
    table = source.table.get("places", {})
    if not isinstance(table, dict):
        raise source.error(["places"], "places are written as provider = NAME in a [places] table")
    for provider, name in table.items():
        if not isinstance(name, str) or name not in PLACES:
            raise source.error(["places", provider], f"unknown place {name!r}; the places are {', '.join(PLACES)}")
        yield provider, name


def _paces(source: TomlSource) -> Iterator[tuple[str, PaceChange]]:
    table = source.table.get("pace", {})
    if not isinstance(table, dict):
        raise source.error(["pace"], "the pace is written as [pace] or [pace.NAME] tables")
    yield "*", _pace(source, ["pace"], {key: value for key, value in table.items() if not isinstance(value, dict)})
    for name, members in table.items():
        if isinstance(members, dict):
            yield name, _pace(source, ["pace", name], members)


def _pace(source: TomlSource, keys: Sequence[str], members: dict[str, Any]) -> PaceChange:
    try:
        return msgspec.convert(members, PaceChange)
    except msgspec.ValidationError as error:
        raise source.invalid(keys, error, PaceChange.__struct_fields__) from None
