"""A race that replays a list of events, and a clock that stands where the test puts it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from kmon.dialects.delta import StreamError, ToolFragment, Usage
from kmon.engine.api import Command
from kmon.engine.plan import RacePlan, Row
from kmon.model import PromptMessage, Scenario, Target
from kmon.stream import events as ev
from kmon.stream.claim import Claim

MS = 1_000_000
S = 1_000_000_000


@dataclass
class FrozenClock:
    """A clock that moves only when told."""

    now_ns: int = 0

    def __call__(self) -> int:
        return self.now_ns


@dataclass
class ScriptedSource:
    """An EventSource over a list. It stays open until closed, as the real one does."""

    events: Sequence[ev.Event]
    crash: str = ""
    commands: list[Command] = field(default_factory=list)
    closed: bool = False

    def __post_init__(self) -> None:
        self.idle = False
        """Whether all events so far were handed over."""
        self._more: asyncio.Queue[list[ev.Event] | None] = asyncio.Queue()

    async def batches(self) -> AsyncIterator[Sequence[ev.Event]]:
        for at in range(0, len(self.events), 50):
            yield self.events[at : at + 50]
        self.idle = True
        if self.crash:
            raise ConnectionError(self.crash)
        while (batch := await self._more.get()) is not None:
            yield batch
            self.idle = self._more.empty()
        if self.crash:
            raise ConnectionError(self.crash)

    def add(self, *more: ev.Event) -> None:
        self.idle = False
        self._more.put_nowait(list(more))

    def fail(self, why: str) -> None:
        self.crash = why
        self._more.put_nowait(None)

    async def command(self, command: Command) -> None:
        self.commands.append(command)

    async def close(self) -> None:
        self.closed = True
        self._more.put_nowait(None)


class Script:
    """Writes down the events of one run, at times in seconds from the start of the race."""

    def __init__(self, run: str, target: str, *, label: str = "", scenario: str = "code-tools", round: int = 1) -> None:
        self.run = run
        self.target = target
        label = label or f"{target}/moonshotai/Kimi-K2.6"
        self.events: list[ev.Event] = [ev.RunQueued(0, run, target, label, scenario, round, "chat")]
        self.attempt = 0

    def start(
        self, at_s: float = 0.0, role: ev.AttemptRole = "first", *, answered: bool = True, target: str = ""
    ) -> Script:
        self.attempt += 1
        t = int(at_s * S)
        self.events.append(
            ev.AttemptStarted(t, self.run, self.attempt, role, "https://api.example/v1/chat/completions", target=target)
        )
        for phase, after_ms in (("dns", 12), ("connect", 40), ("tls", 85), ("request_sent", 86)):
            self.events.append(ev.PhaseReached(t + after_ms * MS, self.run, self.attempt, phase))  # type: ignore[arg-type]
        if answered:
            self.events.append(
                ev.HeadersReceived(t + 180 * MS, self.run, self.attempt, 200, {"x-request-id": "req-7f3a"})
            )
        return self

    def again(
        self, at_s: float, delay_s: float, *, role: ev.AttemptRole = "retry", to: str = "", reason: str = "HTTP 429"
    ) -> Script:
        """The policy schedules another attempt, the first of two."""
        t = int(at_s * S)
        self.events.append(
            ev.RetryScheduled(t, self.run, self.attempt, role, to or self.target, reason, delay_s * 1000, 1, 2)
        )
        return self

    def say(self, at_s: float, text: str, kind: str = "text", *, every_s: float = 0.02, piece: int = 4) -> Script:
        """Stream ``text`` in pieces from ``at_s`` on."""
        for n, start in enumerate(range(0, len(text), piece)):
            t = int((at_s + n * every_s) * S)
            part = text[start : start + piece]
            self.events.append(ev.DeltaArrived(t, self.run, self.attempt, kind, part, raw=f'{{"delta":{part!r}}}'))  # type: ignore[arg-type]
        return self

    def call(self, at_s: float, name: str, arguments: str) -> Script:
        t = int(at_s * S)
        head = ToolFragment(0, "call_1", name, "")
        self.events.append(ev.DeltaArrived(t, self.run, self.attempt, "tool", "", tools=(head,)))
        for n, start in enumerate(range(0, len(arguments), 6)):
            part = arguments[start : start + 6]
            self.events.append(
                ev.DeltaArrived(
                    t + (n + 1) * 20 * MS,
                    self.run,
                    self.attempt,
                    "tool",
                    part,
                    tools=(ToolFragment(0, arguments=part),),
                )
            )
        return self

    def keepalive(self, *at_s: float) -> Script:
        for at in at_s:
            self.events.append(
                ev.DeltaArrived(int(at * S), self.run, self.attempt, "keepalive", "", chunk=False, raw=": ping")
            )
        return self

    def finish(self, at_s: float, reason: str = "stop", usage: Usage | None = None) -> Script:
        t = int(at_s * S)
        self.events.append(ev.DeltaArrived(t, self.run, self.attempt, "finish", "", finish_reason=reason))
        if usage is not None:
            self.events.append(ev.DeltaArrived(t + 5 * MS, self.run, self.attempt, "usage", "", usage=usage))
        self.events.append(ev.DeltaArrived(t + 6 * MS, self.run, self.attempt, "other", "", done=True, chunk=False))
        return self.end(at_s + 0.01)

    def end(
        self,
        at_s: float,
        state: ev.Ending = "done",
        *,
        role: ev.AttemptRole = "first",
        signature: str | None = None,
        evidence: str = "",
        error: StreamError | None = None,
    ) -> Script:
        self.events.append(
            ev.AttemptEnded(int(at_s * S), self.run, self.attempt, role, state, signature, evidence, error)
        )
        return self

    def claims(self, at_s: float, claim: str, gateway_run: str) -> Script:
        """What the chat program of a gateway shows from then on."""
        first, second = claim.split(" | ")
        shown = Claim(second, first) if first == "connected" else Claim(first, second, busy=True)
        self.events.append(ev.ClaimChanged(int(at_s * S), self.run, self.attempt, claim, gateway_run, shown=shown))
        return self

    def hangs(self, at_s: float, name: str, sentence: str) -> Script:
        """On which side it hangs, told from then on."""
        self.events.append(ev.Diagnosed(int(at_s * S), self.run, self.attempt, name, sentence))
        return self

    def nudged(self, at_s: float, sentence: str) -> Script:
        self.events.append(ev.NudgeResult(int(at_s * S), self.run, self.attempt, sentence))
        return self


def race(
    scripts: Sequence[Script], *, scenario: str = "code-tools", rounds: int = 1, simulated: bool = True
) -> list[ev.Event]:
    """All scripts as one stream of events, in order of time."""
    started = ev.RaceStarted(0, tuple(s.target for s in scripts), scenario, rounds, simulated)
    merged = sorted((event for script in scripts for event in script.events), key=lambda event: event.t_ns)
    return [started, *merged, ev.EngineHealth(0, 0.3, 5_100)]


def plan(*names: str, rounds: int = 1, simulated: bool = True) -> RacePlan:
    scenario = Scenario(name="code-tools", messages=(PromptMessage(role="user", content="sort"),), max_tokens=1024)
    rows = tuple(
        Row(
            Target(name=name, provider=name, model="moonshotai/Kimi-K2.6", base_url="https://api.example/v1"),
            scenario,
        )
        for name in (names or ("together", "fireworks"))
    )
    return RacePlan(rows=rows, rounds=rounds, simulated=simulated)


CODE = '''def quicksort(xs: list[int]) -> list[int]:
    """Sort by divide and conquer; a new list is returned."""
    if len(xs) <= 1:
        return xs
    pivot, *rest = xs
    smaller = [x for x in rest if x < pivot]
    larger = [x for x in rest if x >= pivot]
    return [*quicksort(smaller), pivot, *quicksort(larger)]
'''
THOUGHT = "The user wants a sorting function. A quicksort with list comprehensions is short and easy to read. "


def stuck() -> list[Script]:
    """The stuck chat three times over, seen best at 16 s; the second was nudged at 8 s."""
    a = Script("r1", "a-adapter-buffers", label="openclaw/2026.2.17", scenario="stuck-tui").start().keepalive(0.3)
    a.claims(0.3, "running | connected", "dbef")
    a.hangs(5.3, "adapter-buffering", "the provider sent 130 chunks and still sends; the agent is silent for 5 s")
    b = Script("r2", "b-follow-up", label="openclaw/2026.2.17", scenario="stuck-tui").start().keepalive(0.3)
    b.claims(0.3, "running | connected", "f1c2")
    b.start(8.0, "nudge")
    b.attempt = 1
    b.claims(8.1, "connected | idle", "f1c2")
    beneath = "the provider is silent for 8 s, before its first; ticks go on"
    told = f"message 5fe9 got an empty final while run f1c2 is open 8 s, last frame 8 s ago; beneath it: {beneath}"
    b.hangs(8.1, "queued-follow-up", told)
    c = Script("r3", "c-silent-retry", label="openclaw/2026.2.17", scenario="stuck-tui").start()
    c.say(0.5, CODE[:60]).claims(1.0, "connected | error", "7514").say(3.4, CODE * 2, every_s=0.06)
    c.hangs(3.0, "chat-link-lost", "the chat was told error (terminated), and run 7514 goes on all the same (try 2)")
    return [a, b, c]


def showcase() -> list[Script]:
    """Eight runs, one in nearly every state, seen best at 30 s."""
    together = Script("r1", "together").start().say(0.5, THOUGHT, "reasoning").say(1.4, CODE[:160], every_s=0.28)
    together.keepalive(*range(15, 30, 2))
    fireworks = Script("r2", "fireworks", label="fireworks/kimi-k2p6").start().say(0.3, CODE * 8, every_s=0.04)
    groq = Script("r3", "groq").start().call(0.4, "weather", '{"location": "Tokyo", "unit": "celsius"}')
    groq.finish(1.2, "tool_calls", Usage(93, 32, 125))
    nim = Script("r4", "nvidia").start().say(1.0, CODE[:90]).say(9.0, CODE[90:120])
    nim.end(14.2, "failed", signature="reset-mid-chunk", evidence="connection reset after 31 chunks, no finish reason")
    openrouter = Script("r5", "openrouter").start().say(2.0, CODE[:200])
    openrouter.start(20.0, "nudge").say(21.0, "Yes, I am still here. I was in the middle of the function.")
    openrouter.finish(22.5).nudged(23.0, "nudge answered, first still silent")
    moonshot = Script("r6", "moonshot").start(27.0, answered=False)
    mistral = Script("r7", "mistral", label="mistral/magistral").start().say(5.0, CODE, every_s=0.1)
    mistral.end(
        16.5,
        "incomplete",
        signature="truncated-no-finish",
        evidence="clean end after 120 chunks without a finish reason",
    )
    local = Script("r8", "local")
    return [together, fireworks, groq, nim, openrouter, moonshot, mistral, local]
