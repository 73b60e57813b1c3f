"""The cases of ``kmon selftest``: ways for an answer to go, with the target and the scenario for each."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from kmon.address import over_websocket
from kmon.catalog.signatures import signatures
from kmon.catalog.toml_source import parse_toml
from kmon.dialects.registry import http_dialect
from kmon.model import DEFAULT_DIALECT, PromptMessage, Scenario, Target, Tool, ToolUse
from kmon.simulator.dialects.registry import names_with
from kmon.simulator.faults.base import Fault
from kmon.simulator.faults.registry import FAULTS, HEADER

Ask = Literal["words", "tool", "words-with-tools", "called-once", "called-twice"]
MODEL = "moonshotai/Kimi-K2-Instruct-0905"
ANSWER_TOKENS = 120
"""Enough for each fault to happen in the middle of the answer."""
WEATHER = Tool(
    name="get_weather",
    description="Get the current weather of a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)

CALLED: dict[Ask, int] = {"called-once": 1, "called-twice": 2}
"""The number of tool calls earlier in the conversation."""


class Case(Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the matrix. ``expects`` None: a healthy twin. ``timeout_s`` is in simulated seconds."""

    fault: str
    expects: str | None = None
    ask: Ask = "words"
    dialect: str = DEFAULT_DIALECT
    place: str = ""
    """One of the simulator's places (``simulator/endpoints.py``); empty for the simulator itself."""
    timeout_s: float = 90.0
    socket: bool = False
    """Whether a WebSocket carries the dialect, instead of HTTP."""

    @property
    def name(self) -> str:
        """The fault, and the parts of the request that are not the defaults."""
        place = "" if self.fault == f"({self.place})" else self.place
        words = (self.dialect, self.ask, place, "over a WebSocket" * self.socket)
        more = [word for word in words if word not in (DEFAULT_DIALECT, "words", "")]
        return " ".join([self.fault.partition(":")[0], *more])

    def scenario(self, seed: int) -> Scenario:
        """The request. Another seed is another conversation, which the simulator answers with other gaps."""
        about_tools = self.ask not in ("words", "words-with-tools")
        words = "What is the weather in Tokyo right now?" if about_tools else "Tell me how rivers find the sea."
        return Scenario(
            name=self.ask,
            messages=(
                PromptMessage(role="user", content=f"{words} (Question {seed}.)"),
                *_turns(CALLED.get(self.ask, 0)),
            ),
            tools=() if self.ask == "words" else (WEATHER,),
            max_tokens=ANSWER_TOKENS,
        )

    def target(self, origin: str) -> Target:
        """The target at a simulator of this ``origin``."""
        spoken = http_dialect(self.dialect)
        origin = over_websocket(origin) if self.socket else origin
        return Target(
            name=self.name,
            provider="bench",
            # the AWS client cannot add the header, but the simulator also reads a fault from the model's name
            model=f"{MODEL}-{self.fault}" if spoken.transport == "aws" else MODEL,
            dialect=self.dialect,
            base_url=f"{origin}/bench{spoken.base_path}",
            headers={} if self.fault.startswith("(") else {HEADER: self.fault},
            simulated=True,
        )


def _turns(times: int) -> tuple[PromptMessage, ...]:
    """``times`` calls of the tool with the same arguments, each with its result."""
    turns: list[PromptMessage] = []
    for number in range(times):
        use = ToolUse(id=f"functions.get_weather:{number}", name="get_weather", arguments={"city": "Tokyo"})
        turns.append(PromptMessage(role="assistant", tool_calls=(use,)))
        turns.append(PromptMessage(role="tool", tool_call_id=use.id, content='{"temp":22}'))
    return tuple(turns)


def cases() -> tuple[Case, ...]:
    """The cases of ``selftest.toml``, then one for each fault of the simulator that has none there."""
    written = _written()
    with_case = {case.fault.partition(":")[0] for case in written}
    return (*written, *(_default_case(fault) for name, fault in FAULTS.items() if name not in with_case))


def _default_case(fault: type[Fault]) -> Case:
    """The case of a fault by itself. Raises LookupError if no signature names it or no dialect can have it."""
    name = fault.tag()
    named = None if fault.healthy else next((key for key, text in signatures().items() if name in text.faults), "")
    if named == "":
        raise LookupError(f"no signature names the fault {name!r}: add it to the faults of one, or say it is healthy")
    able = names_with(fault.needs)
    if not able:
        raise LookupError(f"no dialect can have the fault {name!r}: each lacks one of {', '.join(sorted(fault.needs))}")
    return Case(name, named, dialect=DEFAULT_DIALECT if DEFAULT_DIALECT in able else able[0])


@cache
def _written() -> tuple[Case, ...]:
    text = files("kmon.output").joinpath("selftest.toml").read_text("utf-8")
    return msgspec.convert(tuple(parse_toml(Path("selftest.toml"), text).table["case"]), tuple[Case, ...])
