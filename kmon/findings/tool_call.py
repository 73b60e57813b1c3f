"""Checks whether a tool call can be executed: a known tool, arguments that parse and fit its schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from kmon.dialects.delta import ToolCall
from kmon.model import Scenario, Tool

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

SHOWN_CHARS = 120
"""Limit of a foreign text quoted in a sentence."""


ToolFault = Literal["tool-not-offered", "tool-arguments-unfinished", "tool-arguments-invalid", "tool-arguments-misfit"]


class ToolProblem(NamedTuple):
    """The fault of a call: its signature, and a sentence without full stop."""

    name: ToolFault
    sentence: str


def tool_call_problem(call: ToolCall, tools: Sequence[Tool]) -> str | None:
    """The fault of ``call`` as a sentence without full stop, or None if it can be executed."""
    problem = tool_problem(call, tools)
    return None if problem is None else problem.sentence


def tool_problem(call: ToolCall, tools: Sequence[Tool]) -> ToolProblem | None:
    """The fault of ``call``, or None if it can be executed.

    Blank arguments count as ``{}``, since several providers send them for a call without arguments.
    """
    tool = next((tool for tool in tools if tool.name and tool.name == call.name), None)
    if tool is None:
        if call.name and any(not offered.name for offered in tools):
            return None  # the name of a provider's own tool is not in the request that offers it
        named = f"called {shown(call.name)!r}, a tool that was not offered" if call.name else ""
        return ToolProblem("tool-not-offered", named or "called a tool without a name")
    if call.free_form:
        return None
    try:
        arguments = msgspec.json.decode(call.arguments.strip() or "{}")
    except (ValueError, RecursionError) as error:
        sentence = f"{tool.name}: the arguments are not JSON ({shown(str(error))}): {shown(call.arguments)}"
        return ToolProblem("tool-arguments-unfinished" if _cut(error) else "tool-arguments-invalid", sentence)
    if not isinstance(arguments, dict):
        sentence = f"{tool.name}: the arguments are not a JSON object: {shown(call.arguments)}"
        return ToolProblem("tool-arguments-invalid", sentence)
    misfit = _misfit(arguments, tool)
    if misfit is None:
        return None
    return ToolProblem("tool-arguments-misfit", f"{tool.name}: the arguments do not fit the schema: {misfit}")


def unjudgeable(scenario: Scenario) -> str | None:
    """Why the calls of ``scenario`` cannot be judged: a tool whose parameters are no JSON Schema. None if all are.

    To be checked before the first request; :func:`tool_call_problem` ignores the schema of such a tool, because a
    fault of the request must not count against the answer.
    """
    from jsonschema import SchemaError

    for tool in scenario.tools:
        try:
            _validator(tool).check_schema(tool.parameters)
        except SchemaError as error:
            place = f"scenario {scenario.name!r}, tool {tool.name!r}"
            return f"{place}: the parameters are no JSON Schema ({shown(error.message)}); correct them"
    return None


def shown(text: str) -> str:
    """``text`` on one line, bounded, for use in a sentence."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else line[: SHOWN_CHARS - 1] + "…"


def _cut(error: Exception) -> bool:
    """Whether the parser found the JSON valid up to its end."""
    return "truncated" in str(error)


def _misfit(arguments: dict[str, Any], tool: Tool) -> str | None:
    """The most relevant violation of the tool's schema, or None. Never follows a reference to the network."""
    from jsonschema import SchemaError
    from jsonschema.exceptions import best_match
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        validator = _validator(tool)
        validator.check_schema(tool.parameters)
        error = best_match(validator(tool.parameters, registry=Registry()).iter_errors(arguments))
    except (SchemaError, Unresolvable):
        return None
    except RecursionError:
        return "they are nested too deeply"
    if error is None:
        return None
    place = ".".join(str(step) for step in error.absolute_path)
    return shown(f"{place}: {error.message}" if place else error.message)


def _validator(tool: Tool) -> type[Validator]:
    """The validator of the draft named by the schema, else of 2020-12."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    return validator_for(tool.parameters, default=Draft202012Validator)
