"""Classifies a finished run: the outcome classes, how they are shown, and the rules that decide between them."""

from __future__ import annotations

from typing import Literal, get_args

from msgspec import Struct

from kmon.catalog.signatures import KMON_LATE, OF_THIS_MACHINE
from kmon.dialects.delta import StreamError
from kmon.findings.tool_call import shown, tool_call_problem
from kmon.model import Scenario
from kmon.stream.events import RunEnded

OutcomeName = Literal[
    "pass",
    "timeout-before-first-token", "hang-mid-stream",
    "dropped", "incomplete", "in-stream-error",
    "http-error", "rate-limited", "connect-error",
    "invalid-tool-call", "wrong-answer", "empty-answer", "only-reasoning",
    "not-asked", "cancelled", "disturbed",
]  # fmt: skip
OUTCOMES: tuple[OutcomeName, ...] = get_args(OutcomeName)
UNCOUNTED: frozenset[OutcomeName] = frozenset({"rate-limited", "not-asked", "cancelled", "disturbed"})
"""Neither passes nor failures: they say nothing about the reliability of the target. Reports count them separately."""
FINISHED: frozenset[OutcomeName] = frozenset(
    {"pass", "invalid-tool-call", "wrong-answer", "empty-answer", "only-reasoning"}
)
"""The stream came to its end; its times are complete."""
CUT: frozenset[OutcomeName] = frozenset(
    {"timeout-before-first-token", "hang-mid-stream", "dropped", "incomplete", "in-stream-error"}
)
"""The stream ended before the answer did; its times are censored."""


class Signs(Struct, frozen=True):
    """How an outcome is shown: two words at most, a symbol two columns wide, and one ASCII character."""

    label: str
    symbol: str
    mark: str


SIGNS: dict[OutcomeName, Signs] = {
    "pass": Signs("OK", "✅", "+"),
    "timeout-before-first-token": Signs("TIMEOUT", "❌", "T"),
    "hang-mid-stream": Signs("HANG", "❌", "H"),
    "dropped": Signs("DROPPED", "❌", "D"),
    "incomplete": Signs("INCOMPLETE", "❌", "I"),
    "in-stream-error": Signs("ERROR", "❌", "E"),
    "http-error": Signs("HTTP ERROR", "❌", "P"),
    "rate-limited": Signs("RATE LIMIT", "⏳", "R"),
    "connect-error": Signs("NO CONNECTION", "❌", "C"),
    "invalid-tool-call": Signs("BAD TOOL CALL", "❌", "B"),
    "wrong-answer": Signs("WRONG", "❌", "W"),
    "empty-answer": Signs("EMPTY", "❌", "0"),
    "only-reasoning": Signs("ONLY THOUGHTS", "❌", "?"),
    "not-asked": Signs("NOT ASKED", "➖", "N"),
    "cancelled": Signs("CANCELLED", "➖", "-"),
    "disturbed": Signs("DISTURBED", "➖", "M"),
}


class RunOutcome(Struct, frozen=True):
    """The outcome of a run, and a sentence that gives the reason."""

    name: OutcomeName
    sentence: str

    @property
    def passed(self) -> bool:
        return self.name == "pass"

    @property
    def counted(self) -> bool:
        """Whether it says anything about the target."""
        return self.name not in UNCOUNTED

    @property
    def signs(self) -> Signs:
        return SIGNS[self.name]


_BY_ERROR: dict[str, OutcomeName] = {
    "http": "http-error",
    "not-a-stream": "http-error",
    "dns": "connect-error",
    "connect": "connect-error",
    "tls": "connect-error",
    "reset": "dropped",
    "cut": "dropped",
    "protocol": "dropped",
    "network": "dropped",
    "credentials": "not-asked",
    "not-sent": "not-asked",
}
"""Outcome by the kind of the error that ended a run; any other kind is an error inside the stream."""
_RATE_LIMIT_CODES = ("ratelimit", "throttl", "toomanyrequests")
"""Parts of the error codes of providers: rate_limit_exceeded, ThrottlingException, too_many_requests."""


def classify(result: RunEnded, scenario: Scenario) -> RunOutcome:
    """The outcome of a run. A run passes if it ended with a terminal event within the timeout and its check holds."""
    if result.signature == KMON_LATE:
        return RunOutcome(
            "disturbed", f"disturbed by this machine; it says nothing about the target; {result.evidence}"
        )
    match result.state:
        case "cancelled":
            return RunOutcome("cancelled", "cancelled; it says nothing about the target")
        case "timed-out":
            return _silent(result)
        case "incomplete":
            return RunOutcome(
                "incomplete", f"the stream ended cleanly but without its terminal event; {result.evidence}"
            )
        case "failed":
            return _failed(result)
        case _:
            return _checked(result, scenario)


def _silent(result: RunEnded) -> RunOutcome:
    if result.signature == "connect-timeout":
        return RunOutcome("connect-error", f"no connection within the timeout; {result.evidence}")
    waited = f"{result.duration_ms / 1000:.1f} s"
    if result.ttft_ms is None:
        return RunOutcome("timeout-before-first-token", f"nothing came in {waited}; {result.evidence}")
    if result.stalls and not result.stalls[-1].ended:
        return RunOutcome("hang-mid-stream", f"began to answer, then fell silent until {waited}; {result.evidence}")
    return RunOutcome(
        "hang-mid-stream", f"had begun to answer and was not at its end after {waited}; {result.evidence}"
    )


def _failed(result: RunEnded) -> RunOutcome:
    error = result.error or StreamError("network", "it failed without saying why")
    if _is_rate_limit(error):
        return RunOutcome("rate-limited", f"refused for the rate of requests: {shown(error.message)}")
    if error.kind in OF_THIS_MACHINE:
        return RunOutcome("not-asked", shown(error.message))
    return RunOutcome(_BY_ERROR.get(error.kind, "in-stream-error"), shown(error.message))


def _is_rate_limit(error: StreamError) -> bool:
    code = "".join(c for c in (error.code or "").lower() if c.isalnum())
    return error.status == 429 or any(word in code for word in _RATE_LIMIT_CODES)


def _checked(result: RunEnded, scenario: Scenario) -> RunOutcome:
    text, calls, check = result.text.strip(), result.tool_calls, scenario.check
    if not text and not calls:
        if result.reasoning.strip():
            return RunOutcome("only-reasoning", f"thought, but never answered (finish reason {result.finish_reason})")
        return RunOutcome("empty-answer", f"ended well with nothing said (finish reason {result.finish_reason})")
    for call in calls:
        if problem := tool_call_problem(call, scenario.tools):
            return RunOutcome("invalid-tool-call", problem)
    if check.tool_call and not calls:
        return RunOutcome("wrong-answer", f"answered in words where a tool call was asked for: {shown(text)}")
    for needle in check.contains:
        if needle.casefold() not in text.casefold():
            said = shown(text) if text else f"called {shown(calls[0].name)} instead of answering"
            return RunOutcome("wrong-answer", f"the answer does not contain {needle!r}: {said}")
    return RunOutcome("pass", shown(text) if text else f"called {', '.join(call.name for call in calls)}")
