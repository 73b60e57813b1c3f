"""The factors of a request: how each is changed, and why it cannot be where it cannot.

Every change takes something out of the request as it was reported, or sends it to another place. What of the request is
left (``present``) is read from the request itself, so that factors which depend on each other are found, not declared:
without tools there are no parallel calls.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal, NamedTuple

from msgspec.structs import replace

from kmon.dialects.registry import dialect
from kmon.engine.plan import Row
from kmon.isolate import changes
from kmon.isolate.places import Places, control_of
from kmon.model import DEFAULT_DIALECT, PassLimits, Scenario, Target
from kmon.stats.pairs import model_family
from kmon.transport.proxy import proxy_for

Stage = Literal["request", "place"]
"""What is asked, which is isolated first, and where, which is asked of the cause that was found."""
CONNECTION = "connection"
"""The factor for which a race keeps connections open."""
HTTP2_INSTALL = "it needs the extra: pip install 'kmon-tui[http2]'"
HTTP_CARRIERS = ("http", "aws")


class Factor(NamedTuple):
    """A factor. ``words`` say what is as reported, ``changed`` what stands in its place, ``mark`` names a changed row,
    and ``when`` goes on after "it fails when".

    ``present`` tells whether a row still has it, beside the row as reported. ``change`` returns the row without it;
    None where there is no such row. ``obstacle`` says why it cannot be changed at all; empty if it can.
    """

    name: str
    stage: Stage
    words: str
    changed: str
    mark: str
    when: str
    present: Callable[[Row, Row], bool]
    change: Callable[[Row, Places], Row | None]
    obstacle: Callable[[Row, Places], str]
    asks_otherwise: bool = False
    """Whether the change alters the question, so that another answer may be right."""
    only: str = ""
    """Of a place: goes on after "it fails only"."""


def _asking(change: Callable[[Scenario], Scenario]) -> Callable[[Row, Places], Row | None]:
    """A change of what is asked."""
    return lambda row, _: Row(row.target, change(row.scenario))


def _unless(present: Callable[[Row, Row], bool], why: str) -> Callable[[Row, Places], str]:
    """The obstacle of a request that never had the factor."""
    return lambda row, _: "" if present(row, row) else why


# -- what is asked -----------------------------------------------------------------------------------------------------


def _has_tools(row: Row, _: Row) -> bool:
    return bool(row.scenario.tools) and row.scenario.tool_choice != "none"


def _has_result(row: Row, _: Row) -> bool:
    return any(message.role == "tool" for message in row.scenario.messages)


def _has_history(row: Row, _: Row) -> bool:
    return len(changes.last_question(row.scenario).messages) < len(row.scenario.messages)


def _is_long(row: Row, _: Row) -> bool:
    return changes.is_long(row.scenario)


def _may_call_in_parallel(row: Row, _: Row) -> bool:
    offered = _has_tools(row, row) and dialect(row.target.dialect).parallel_calls
    return offered and row.scenario.parallel_calls is not False


def _one_call(scenario: Scenario) -> Scenario:
    return replace(scenario, parallel_calls=False)


def _streams(row: Row, _: Row) -> bool:
    return row.scenario.stream


def _whole(scenario: Scenario) -> Scenario:
    """An answer in one piece has no first token and no gaps: only its end can be late."""
    limits = PassLimits(duration_s=scenario.limits.duration_s)
    return replace(scenario, stream=False, limits=limits)


def _why_not_whole(row: Row, _: Places) -> str:
    carrier = dialect(row.target.dialect).transport_to(row.target.base_url)
    return "" if carrier in HTTP_CARRIERS else "an answer over a WebSocket always comes in pieces"


# -- how it is sent ----------------------------------------------------------------------------------------------------


def _asks_for_usage(row: Row, _: Row) -> bool:
    return row.target.dialect == DEFAULT_DIALECT and row.target.stream_options and row.scenario.stream


def _without_usage(row: Row, _: Places) -> Row | None:
    return Row(replace(row.target, stream_options=False), row.scenario)


def _why_not_usage(row: Row, _: Places) -> str:
    if row.target.dialect != DEFAULT_DIALECT:
        return f"the {row.target.dialect} dialect has no such option"
    return "" if row.target.stream_options else "the request does not ask for it"


def _by_http1(row: Row, _: Row) -> bool:
    return not row.target.http2


def _by_http2(row: Row, _: Places) -> Row | None:
    return None if _why_not_http2(row.target) else Row(replace(row.target, http2=True), row.scenario)


def _why_not_http2(target: Target) -> str:
    carrier = dialect(target.dialect).transport_to(target.base_url)
    if carrier != "http":
        return "Bedrock is asked by HTTP/1.1 only" if carrier == "aws" else "a WebSocket is opened by HTTP/1.1"
    if not target.base_url.startswith("https://"):
        return "HTTP/2 needs https"
    if proxy_for(target.base_url) is not None:
        return "kmon sends HTTP/2 without a proxy only"
    return "" if find_spec("h2") else HTTP2_INSTALL


def _has_own_connection(row: Row, _: Row) -> bool:
    return not row.target.reuse_connection


def _on_used_connection(row: Row, _: Places) -> Row | None:
    return Row(replace(row.target, reuse_connection=True), row.scenario)


def _why_not_connection(row: Row, _: Places) -> str:
    carrier = dialect(row.target.dialect).transport_to(row.target.base_url)
    return "" if carrier in HTTP_CARRIERS else "every request over a WebSocket opens its own"


def _same_dialect(row: Row, reported: Row) -> bool:
    return row.target.dialect == reported.target.dialect


def _at(target: Target | None, row: Row) -> Row | None:
    """The row at another target, what was changed of its own kept."""
    if target is None or (row.target.http2 and _why_not_http2(target)):
        return None
    sent_alike = replace(
        target,
        stream_options=target.stream_options and row.target.stream_options,
        http2=row.target.http2,
        reuse_connection=row.target.reuse_connection,
    )
    return Row(sent_alike, row.scenario)


def _why_not_dialect(row: Row, places: Places) -> str:
    if places.other_dialect is None:
        return places.why_not_other_dialect
    return dialect(places.other_dialect.dialect).unsupported(places.other_dialect, row.scenario) or ""


def _never(why: str) -> Callable[[Row, Places], str]:
    return lambda _row, _places: why


# -- where it is sent --------------------------------------------------------------------------------------------------


def _here(row: Row, reported: Row) -> bool:
    return row.target.provider == reported.target.provider


def _same_model(row: Row, reported: Row) -> bool:
    return model_family(row.target.model) == model_family(reported.target.model)


def _other_model(row: Row, places: Places) -> Row | None:
    """The other model here; elsewhere, that of the target there."""
    if places.other_model is None:
        return None
    if row.target.provider == places.other_model.provider:
        return _at(places.other_model, row)
    model = row.target.control_model
    return None if model is None else _at(control_of(row.target, model), row)


FACTORS = (
    Factor("elsewhere", "place", "this provider", "the same model at another provider", "-here",
        "it is asked at this provider",
        _here, lambda row, places: _at(places.elsewhere, row),
        lambda _, places: "" if places.elsewhere else places.why_not_elsewhere, only="at this provider"),
    Factor("other-model", "place", "this model", "another model here", "-model",
        "this model is asked",
        _same_model, _other_model,
        lambda _, places: "" if places.other_model else places.why_not_other_model, only="with this model"),
    Factor("dialect", "request", "this dialect", "another dialect of the provider", "-dialect",
        "it is asked in this dialect",
        _same_dialect, lambda row, places: _at(places.other_dialect, row), _why_not_dialect),
    Factor("tools", "request", "tools in the request", "no tools", "-tools",
        "the request offers tools",
        _has_tools, _asking(changes.without_tools),
        _unless(_has_tools, "the scenario offers no tools"), asks_otherwise=True),
    Factor("tool-result", "request", "a tool result in its history", "the result told in words", "-result",
        "the request has a tool result in its history",
        _has_result, _asking(changes.results_as_text),
        _unless(_has_result, "no tool result is in its history"), asks_otherwise=True),
    Factor("history", "request", "earlier messages", "the last question only", "-history",
        "earlier messages stand before the question",
        _has_history, _asking(changes.last_question),
        _unless(_has_history, "nothing stands before the last question"), asks_otherwise=True),
    Factor("prompt-size", "request", "a long prompt", "long messages cut in the middle", "-long",
        "the prompt is long",
        _is_long, _asking(changes.shortened),
        _unless(_is_long, f"no message is longer than {changes.LONG_CHARS:,} characters"), asks_otherwise=True),
    Factor("parallel-calls", "request", "parallel calls allowed", "one call at a time", "-parallel",
        "parallel calls are allowed",
        _may_call_in_parallel, _asking(_one_call),
        _unless(_may_call_in_parallel, "without tools, or in this dialect, the request does not say")),
    Factor("streaming", "request", "a streamed answer", "the answer in one piece", "-stream",
        "the answer is streamed",
        _streams, _asking(_whole), _why_not_whole),
    Factor("include-usage", "request", "include_usage", "no usage asked for", "-usage",
        "the request asks for usage (include_usage)",
        _asks_for_usage, _without_usage, _why_not_usage),
    Factor("http-version", "request", "HTTP/1.1", "HTTP/2", "-http1",
        "it is sent by HTTP/1.1",
        _by_http1, _by_http2, lambda row, _: _why_not_http2(row.target)),
    Factor(CONNECTION, "request", "a new connection", "one that was used before", "-new",
        "it is sent over a new connection",
        _has_own_connection, _on_used_connection, _why_not_connection),
    Factor("at-once", "request", "together with others", "alone", "-together",
        "other requests are open at the same time",
        lambda _row, _reported: True, lambda _row, _places: None,
        _never("the requests of a round are sent together, so that an outage hits all alike; compare with "
               "--per-target 1")),
)  # fmt: skip
"""In the order in which they are changed: the place first, because the rest of a request depends on it."""
NAMES = tuple(factor.name for factor in FACTORS)
