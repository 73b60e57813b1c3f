"""A test of four arms, as the board shows it: the rounds that have ended, the one that is open, and those to come."""

from __future__ import annotations

from kmon.dialects.delta import StreamError
from kmon.engine.plan import RacePlan, Row
from kmon.model import AnswerCheck, PromptMessage, Scenario, Target
from kmon.stream import events as ev
from kmon.stream.stall import Stall
from tests.support.scripted import MS, S, Script

ARMS = (
    "bedrock/kimi-k2.5", "bedrock/mistral-large-3", "bedrock/nova-pro", "openrouter/moonshotai/kimi-k2.5",
)  # fmt: skip
ANSWER = "It is 22 degrees in Tokyo."
QUESTION = Scenario(
    name="tool-result",
    messages=(PromptMessage(role="user", content="How warm is it?"),),
    check=AnswerCheck(contains=("22",)),
)
SECOND_ROUND_S = 10.0


def board_plan(
    rounds: int = 10, arms: tuple[str, ...] = ARMS, scenarios: tuple[str, ...] = ("tool-result",)
) -> RacePlan:
    rows = tuple(
        Row(Target(name=name, provider=name, model="m", base_url="https://api.example/v1"), _scenario(scenario))
        for name in arms
        for scenario in scenarios
    )
    return RacePlan(rows=rows, rounds=rounds, simulated=True)


def _scenario(name: str) -> Scenario:
    return Scenario(name=name, messages=QUESTION.messages, check=QUESTION.check)


class BoardScript(Script):
    """One run of a test, with the ``run_ended`` that tells how it came out."""

    def __init__(self, arm: str, round: int, *, scenario: str = "tool-result", at_s: float | None = None) -> None:
        super().__init__(f"{arm}.{scenario}.{round}", arm, label=f"{arm}/m", scenario=scenario, round=round)
        self.at_s = (round - 1) * SECOND_ROUND_S if at_s is None else at_s
        self.scenario, self.round = scenario, round
        self.events[0] = ev.RunQueued(int(self.at_s * S), self.run, arm, f"{arm}/m", scenario, round, "chat")

    def passes(self, *, ttft_s: float = 0.6, text: str = ANSWER) -> BoardScript:
        self.start(self.at_s).say(self.at_s + ttft_s, text)
        self.finish(self.at_s + ttft_s + 1.0)
        return self.ended(ttft_s + 1.0, "done", text=text, ttft_s=ttft_s)

    def hangs(self, *, after_s: float = 9.0, text: str = "") -> BoardScript:
        self.start(self.at_s)
        if text:
            self.say(self.at_s + 0.5, text)
        name = "hang-mid-stream" if text else "no-first-token"
        evidence = "headers after 0.09 s, 0 chunks"
        self.end(self.at_s + after_s, "timed-out", signature=name, evidence=evidence)
        return self.ended(after_s, "timed-out", text=text, ttft_s=0.5 if text else None, evidence=evidence)

    def fails(self, error: StreamError) -> BoardScript:
        self.start(self.at_s).end(self.at_s + 0.3, "failed", signature="http-error", error=error)
        return self.ended(0.3, "failed", error=error)

    def ended(
        self,
        after_s: float,
        state: ev.Ending,
        *,
        text: str = "",
        ttft_s: float | None = None,
        evidence: str = "",
        error: StreamError | None = None,
    ) -> BoardScript:
        stalls = (Stall("mid-text", 500.0, after_s * 1000 - 500.0, False),) if state == "timed-out" and text else ()
        self.events.append(
            ev.RunEnded(
                int((self.at_s + after_s) * S) + 20 * MS,
                self.run,
                self.target,
                1,
                state,
                None,
                evidence,
                error,
                None if ttft_s is None else ttft_s * 1000,
                400.0,
                stalls,
                5,
                text,
                "",
                (),
                "stop" if state == "done" else None,
                None,
                "",
                {},
                label=f"{self.target}/m",
                scenario=self.scenario,
                round=self.round,
                duration_ms=after_s * 1000,
            )
        )
        return self


def board_scripts(ended_rounds: int = 6, *, open_round: bool = True) -> list[Script]:
    """Rounds of the field report: Kimi on Bedrock hangs now and then, everyone else answers."""
    scripts: list[Script] = []
    for number in range(1, ended_rounds + 1):
        kimi = BoardScript(ARMS[0], number)
        scripts.append(kimi.hangs() if number % 5 in (2, 4) else kimi.passes())
        scripts.append(_mistral(number))
        scripts.append(BoardScript(ARMS[2], number).passes(ttft_s=0.35))
        scripts.append(_openrouter(number))
    if open_round:
        number = ended_rounds + 1
        kimi, mistral, nova, openrouter = (BoardScript(arm, number) for arm in ARMS)
        kimi.start(kimi.at_s)
        mistral.start(mistral.at_s).say(mistral.at_s + 0.6, ANSWER, every_s=1.5)
        nova.passes(ttft_s=0.35)
        openrouter.start(openrouter.at_s).say(openrouter.at_s + 0.9, "It is")
        scripts += [kimi, mistral, nova, openrouter]
    return scripts


def _mistral(number: int) -> Script:
    script = BoardScript(ARMS[1], number)
    return script.passes(text="It is warm in Tokyo.") if number == 3 else script.passes()


def _openrouter(number: int) -> Script:
    script = BoardScript(ARMS[3], number)
    if number == 5:
        return script.fails(StreamError("http", "HTTP 429: Rate limit reached", 429))
    return script.hangs(after_s=8.0, text="It is") if number == 6 else script.passes(ttft_s=0.8)
