"""The cases of ``kmon selftest``: ways for an answer to go, and the target and scenario that ask for each."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from kmon.catalog.model import DialectName, Message, Scenario, Target, Tool
from kmon.catalog.toml_source import parse_toml

Place = Literal["simulator", "refused", "mute", "plain-as-tls"]
Ask = Literal["words", "tool", "words-with-tools"]
MODEL = "moonshotai/Kimi-K2-Instruct-0905"
ANSWER_TOKENS = 120
"""Enough for every fault to strike in the middle; more would only be work."""
FAULT_HEADER = "x-kmon-fault"
WEATHER = Tool(
    name="get_weather",
    description="Get the current weather of a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


class Case(Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the matrix. ``expects`` None: a healthy twin. ``timeout_s`` is in simulated seconds."""

    fault: str
    expects: str | None = None
    ask: Ask = "words"
    dialect: DialectName = "chat"
    place: Place = "simulator"
    timeout_s: float = 90.0

    @property
    def name(self) -> str:
        """The fault, and what of the request is not as usual."""
        more = [word for word in (self.dialect, self.ask) if word not in ("chat", "words")]
        return " ".join([self.fault.partition(":")[0], *more])

    def scenario(self, seed: int) -> Scenario:
        """What is asked; another seed is another conversation, which the simulator answers with other gaps."""
        words = "What is the weather in Tokyo right now?" if self.ask == "tool" else "Tell me how rivers find the sea."
        return Scenario(
            name=self.ask,
            messages=(Message(role="user", content=f"{words} (Question {seed}.)"),),
            tools=() if self.ask == "words" else (WEATHER,),
            max_tokens=ANSWER_TOKENS,
        )

    def target(self, base_url: str) -> Target:
        """Where it is asked. ``base_url`` ends where the dialect's own path begins."""
        return Target(
            name=self.name,
            provider="bench",
            # AWS's client sends no headers of ours, but the simulator also finds a fault in the model's name
            model=f"{MODEL}-{self.fault}" if self.dialect == "converse" else MODEL,
            dialect=self.dialect,
            base_url=base_url,
            headers={FAULT_HEADER: self.fault} if self.place == "simulator" else {},
            simulated=True,
        )


@cache
def cases() -> tuple[Case, ...]:
    """All cases, in the order of the file."""
    text = files("kmon.report").joinpath("selftest.toml").read_text("utf-8")
    return msgspec.convert(tuple(parse_toml(Path("selftest.toml"), text).table["case"]), tuple[Case, ...])
