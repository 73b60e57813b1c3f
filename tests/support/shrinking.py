"""Requests to be reduced: a long conversation with everything a request can have, in every dialect."""

from __future__ import annotations

from msgspec.structs import replace

from kmon.dialects.dialect import HttpDialect
from kmon.dialects.registry import dialect
from kmon.engine.plan import Row
from kmon.isolate.shrinking import Shrinking, ShrinkSettings
from kmon.model import PromptMessage, Scenario, Target, Tool, ToolUse
from tests.support.isolating import World, tokyo

LONG = "Here is a sentence of some length, and it goes on. " * 30


def weather(name: str) -> Tool:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string"}},
        "required": ["city"],
    }
    return Tool(name=name, description=f"Tells of {name}.", parameters=schema)


def call(number: int, name: str = "get_weather") -> ToolUse:
    return ToolUse(id=f"call{number}", name=name, arguments={"city": "Tokyo"})


def result(number: int, content: str = '{"temp":22}') -> PromptMessage:
    return PromptMessage(role="tool", tool_call_id=f"call{number}", content=content)


CONVERSATION = Scenario(
    name="everything",
    messages=(
        PromptMessage(role="system", content="Be brief."),
        PromptMessage(role="user", content="Weather for Tokyo?"),
        PromptMessage(role="assistant", content="Getting it.", reasoning="A tool is needed.", tool_calls=(call(1),)),
        result(1),
        PromptMessage(role="assistant", content="It is 22 degrees."),
        PromptMessage(role="user", content=f"{LONG}And the news, and Osaka?"),
        PromptMessage(role="assistant", tool_calls=(call(2), call(3, "get_news"))),
        result(2),
        result(3, LONG),
    ),
    tools=(weather("get_weather"), weather("get_news"), weather("get_time")),
    tool_choice="auto",
    parallel_calls=True,
    max_tokens=100,
)


def at_provider(spoken: str) -> Target:
    """A target in a dialect, at the simulator's provider of that name."""
    entry = dialect(spoken)
    assert isinstance(entry, HttpDialect)
    base = f"http://127.0.0.1:9/{spoken}{entry.base_path}"
    return Target(name=spoken, provider=spoken, model="kimi", dialect=spoken, base_url=base)


def shrinking(reported: Row | None = None, *, rate: float = 0.15, max_requests: int = 400, seed: int = 1) -> Shrinking:
    return Shrinking(reported or tokyo(), ShrinkSettings(rate, max_requests, seed))


def shrink_round(running: Shrinking, world: World) -> tuple[Row, ...]:
    """Send one round to the world; returns its rows."""
    rows = running.next_round()
    for place, row in enumerate(rows, start=1):
        names = {"run": f"r{len(running.rounds)}.{place}", "round": len(running.rounds)}
        running.add(replace(world(row), **names, target=row.target.name, scenario=row.scenario.name))
    return rows


def shrink(running: Shrinking, world: World) -> Shrinking:
    """The whole reduction in a world."""
    while shrink_round(running, world):
        pass
    return running
