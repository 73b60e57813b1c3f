"""The cases of ``kmon selftest``: ways for an answer to go, and the target and scenario that ask for each."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from kmon.catalog.toml_source import parse_toml
from kmon.dialects.registry import http_dialect
from kmon.model import DEFAULT_DIALECT, Message, Scenario, Target, Tool, ToolUse

Ask = Literal["words", "tool", "words-with-tools", "called-once", "called-twice"]
MODEL = "moonshotai/Kimi-K2-Instruct-0905"
ANSWER_TOKENS = 120
"""Enough for every fault to strike in the middle; more would only be work."""
FAULT_HEADER = "x-kmon-fault"
WEATHER = Tool(
    name="get_weather",
    description="Get the current weather of a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)

CALLED: dict[Ask, int] = {"called-once": 1, "called-twice": 2}
"""How often the tool has been called in the conversation already."""


class Case(Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the matrix. ``expects`` None: a healthy twin. ``timeout_s`` is in simulated seconds."""

    fault: str
    expects: str | None = None
    ask: Ask = "words"
    dialect: str = DEFAULT_DIALECT
    place: str = ""
    """One of the simulator's places (see ``simulator/places.py``); empty for the simulator itself."""
    timeout_s: float = 90.0

    @property
    def name(self) -> str:
        """The fault, and what of the request is not as usual."""
        place = "" if self.fault == f"({self.place})" else self.place
        more = [word for word in (self.dialect, self.ask, place) if word not in (DEFAULT_DIALECT, "words", "")]
        return " ".join([self.fault.partition(":")[0], *more])

    def scenario(self, seed: int) -> Scenario:
        """What is asked; another seed is another conversation, which the simulator answers with other gaps."""
        about_tools = self.ask not in ("words", "words-with-tools")
        words = "What is the weather in Tokyo right now?" if about_tools else "Tell me how rivers find the sea."
        return Scenario(
            name=self.ask,
            messages=(Message(role="user", content=f"{words} (Question {seed}.)"), *_turns(CALLED.get(self.ask, 0))),
            tools=() if self.ask == "words" else (WEATHER,),
            max_tokens=ANSWER_TOKENS,
        )

    def target(self, origin: str) -> Target:
        """What is asked, of a simulator at ``origin``."""
        spoken = http_dialect(self.dialect)
        return Target(
            name=self.name,
            provider="bench",
            # AWS's client sends no headers of ours, but the simulator also finds a fault in the model's name
            model=f"{MODEL}-{self.fault}" if spoken.transport == "aws" else MODEL,
            dialect=self.dialect,
            base_url=f"{origin}/bench{spoken.base_path}",
            headers={} if self.fault.startswith("(") else {FAULT_HEADER: self.fault},
            simulated=True,
        )


def _turns(times: int) -> tuple[Message, ...]:
    """So many calls of the tool with the same arguments, and its answers."""
    turns: list[Message] = []
    for number in range(times):
        use = ToolUse(id=f"functions.get_weather:{number}", name="get_weather", arguments={"city": "Tokyo"})
        turns.append(Message(role="assistant", tool_calls=(use,)))
        turns.append(Message(role="tool", tool_call_id=use.id, content='{"temp":22}'))
    return tuple(turns)


@cache
def cases() -> tuple[Case, ...]:
    """All cases, in the order of the file."""
    text = files("kmon.output").joinpath("selftest.toml").read_text("utf-8")
    return msgspec.convert(tuple(parse_toml(Path("selftest.toml"), text).table["case"]), tuple[Case, ...])
