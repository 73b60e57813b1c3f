"""Classifies a finished run: the outcome classes, how they are shown, and the rules that decide between them.

Every run that was sent belongs to its target (intention to treat). One that the user ended (cancelled, begun again, or
open when the test was interrupted) is a failure if it had already broken a limit of its scenario, be it with the
silence in which it was ended; else it is ``cut-short``: its times are lower bounds, and the pass rate has a best and a
worst case. Where the scenario sets no limit of the gap or of the first token, the stall threshold stands in for it.
"""

from __future__ import annotations

from typing import Literal, get_args

from msgspec import Struct

from kmon.catalog.signatures import KMON_LATE, OF_THIS_MACHINE
from kmon.dialects.delta import StreamError
from kmon.dialects.dialect import FinishWords
from kmon.findings.tool_call import shown, tool_call_problem
from kmon.model import PassLimits, Scenario
from kmon.stream.events import RunEnded

OutcomeName = Literal[
    "pass",
    "timeout-before-first-token", "hang-mid-stream",
    "dropped", "incomplete", "in-stream-error",
    "http-error", "rate-limited", "connect-error",
    "invalid-tool-call", "wrong-answer", "empty-answer", "only-reasoning", "content-filter", "cut-at-max-tokens",
    "stalled", "slow-first-token", "too-slow",
    "not-asked", "cancelled", "cut-short", "disturbed",
]  # fmt: skip
OUTCOMES: tuple[OutcomeName, ...] = get_args(OutcomeName)
UNCOUNTED: frozenset[OutcomeName] = frozenset({"rate-limited", "not-asked", "cancelled", "cut-short", "disturbed"})
"""Neither passes nor failures. Reports count them separately; ``cut-short`` widens the pass rate of its target."""
FINISHED: frozenset[OutcomeName] = frozenset({
    "pass", "invalid-tool-call", "wrong-answer", "empty-answer", "only-reasoning", "cut-at-max-tokens",
    "stalled", "slow-first-token", "too-slow",
})  # fmt: skip
"""The stream came to its end; its times are complete, unless the user ended it."""
CUT: frozenset[OutcomeName] = frozenset({
    "timeout-before-first-token", "hang-mid-stream", "dropped", "incomplete", "in-stream-error", "content-filter",
})  # fmt: skip
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
    "content-filter": Signs("FILTERED", "❌", "F"),
    "cut-at-max-tokens": Signs("TOKEN LIMIT", "❌", "K"),
    "stalled": Signs("STALLED", "❌", "S"),
    "slow-first-token": Signs("SLOW START", "❌", "L"),
    "too-slow": Signs("TOO SLOW", "❌", "O"),
    "not-asked": Signs("NOT ASKED", "➖", "N"),
    "cancelled": Signs("CANCELLED", "➖", "-"),
    "cut-short": Signs("CUT SHORT", "➖", "U"),
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
    def stands(self) -> bool:
        return stands(self.name)

    @property
    def signs(self) -> Signs:
        return SIGNS[self.name]


LATE_LEAST_MS = 1_000.0
"""Less standing still than this is the lag of a busy machine, spread over the run."""
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


_TOKEN_LIMITS = frozenset(
    {"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"}
)
"""Finish reasons, in lower case, of an answer that the output cap or the context window cut."""
_POLICY = ("filter", "safety", "blocked", "blocklist", "prohibited", "guardrail", "sensitive", "recitation", "spii")
"""Parts of finish reasons, in lower case, with which an answer was withheld by a policy."""


def stands(name: OutcomeName) -> bool:
    """Whether it is the result of its round, so that no later attempt of the user replaces it: what was never sent,
    refused for its rate, or disturbed by this machine, may be sent again."""
    return name not in UNCOUNTED or name == "cut-short"


def classify(result: RunEnded, scenario: Scenario) -> RunOutcome:
    """The outcome of a run. A run passes if it ended with a terminal event within the timeout, its check holds, and it
    kept the limits of its scenario."""
    if result.signature == KMON_LATE:
        return RunOutcome(
            "disturbed", f"disturbed by this machine; it says nothing about the target; {result.evidence}"
        )
    match result.state:
        case "cancelled":
            return _ended_by_user(result, scenario.limits)
        case "timed-out":
            return _silent(result)
        case "incomplete":
            return RunOutcome(
                "incomplete", f"the stream ended cleanly but without its terminal event; {result.evidence}"
            )
        case "failed":
            return _failed(result)
        case _:
            checked = _checked(result, scenario)
            return checked if not checked.passed else _over_limit(result, scenario.limits) or checked


def _ended_by_user(result: RunEnded, limits: PassLimits) -> RunOutcome:
    waited_s = result.duration_ms / 1000
    if result.max_gap_ms is None:
        if limits.ttft_s and waited_s > limits.ttft_s:
            return RunOutcome("connect-error", f"cut short by you after {waited_s:.1f} s without a connection")
        return RunOutcome("cancelled", "cancelled before its request was sent; it says nothing about the target")
    silent_s = (result.left_open_ms or 0.0) / 1000
    limit_s = limits.ttft_s if result.ttft_ms is None else limits.max_gap_s
    open_stall = bool(result.stalls) and not result.stalls[-1].ended and not result.stalls[-1].own
    if silent_s > limit_s if limit_s else open_stall:
        name: OutcomeName = "timeout-before-first-token" if result.ttft_ms is None else "hang-mid-stream"
        return RunOutcome(name, f"cut short by you after {silent_s:.1f} s of silence; {result.evidence}")
    if broken := _over_limit(result, limits):
        return RunOutcome(broken.name, f"{broken.sentence}; cut short by you later")
    return RunOutcome("cut-short", f"cut short by you after {waited_s:.1f} s, when it had not failed yet")


def _over_limit(result: RunEnded, limits: PassLimits) -> RunOutcome | None:
    """The outcome of a run that took longer than a limit of its scenario. Time that kmon took does not count."""
    late_s = result.late_ms / 1000
    gap_s = (result.mid_gap_ms or 0.0) / 1000 - late_s
    ttft_s = None if result.ttft_ms is None else result.ttft_ms / 1000 - late_s
    took_s = result.duration_ms / 1000 - late_s
    if limits.ttft_s and ttft_s is not None and ttft_s > limits.ttft_s:
        return RunOutcome("slow-first-token", f"{ttft_s:.1f} s to the first token, over {limits.ttft_s:g} s")
    if limits.max_gap_s and gap_s > limits.max_gap_s:
        return RunOutcome("stalled", f"silent for {gap_s:.1f} s in the middle, over {limits.max_gap_s:g} s")
    if limits.duration_s and took_s > limits.duration_s:
        return RunOutcome("too-slow", f"took {took_s:.1f} s, over {limits.duration_s:g} s")
    return None


def longest_gap_s(result: RunEnded) -> float | None:
    """The longest gap of a run that this machine did not cause, in s; None if no request was sent.

    Where kmon stood still for so long that it matters, the gap is a lower bound: that time may have been in it.
    """
    gap_ms = result.max_gap_ms if result.others_gap_ms is None else result.others_gap_ms
    if gap_ms is None:
        return None
    return max(0.0, gap_ms - (result.late_ms if result.late_ms >= LATE_LEAST_MS else 0.0)) / 1000


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
    reason = (result.finish_reason or "").lower()
    if FinishWords().is_failure(reason):
        if any(word in reason for word in _POLICY):
            return RunOutcome("content-filter", f"withheld by a policy (finish reason {shown(reason)})")
        return RunOutcome("in-stream-error", f"ended as failed (finish reason {shown(reason)})")
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
    if reason in _TOKEN_LIMITS:
        cut = f"cut by the limit of {scenario.max_tokens} output tokens (finish reason {shown(reason)})"
        return RunOutcome("cut-at-max-tokens", f"{cut}: {shown(text)}" if text else cut)
    return RunOutcome("pass", shown(text) if text else f"called {', '.join(call.name for call in calls)}")
