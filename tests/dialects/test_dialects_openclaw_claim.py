"""The mirrored status line against what the real client showed, change by change.

``tui-*.jsonl`` holds the real client's screen, sampled about every 0.55 s, and what was typed. The frames it got were
recorded by another connection, or come from the recording of the same scenario:

- 2026.9 hang: the very frames, in ``openclaw-2026.9.6-hang.jsonl`` (session ``tuihang``, same wall clock);
- 2026.2 slow: ``ollama-slow``, the first run's frames counted from its message, the follow-up's from the follow-up;
- 2026.2 hang: the same up to the follow-up's empty final; the hung provider never spoke, so nothing else came;
- 2026.2 flaky: ``flaky`` from the first message, ``normal`` from the second.

No recording holds the client's own requests. Enter is 0.25 s after the text (the harness typed, waited, sent), the
acknowledgement follows as in the twin, or, where the twin is another client's, 0.3 s later.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmon.openclaw.protocol.claim import ClientStatus
from kmon.openclaw.protocol.claim_rules import WATCHDOG_LINE
from kmon.openclaw.protocol.frames import Frame, GatewayEvent, Request, Response, encode, parse
from tests.dialects.gateway_recordings import OBSERVED, lines, needs_recordings, recorded
from tests.dialects.test_dialects_openclaw_runs import frame as any_frame

S = 1_000_000_000
ENTER_S = 0.25
SAMPLE_S = 1.0
"""The longest time between two samples of the screen, with the drawing before it."""
TWIN_S = 0.5
"""How much faster another run of the same scenario may have been than its recorded twin."""
WAITING = "flibbertigibbeting kerfuffling dillydallying noodling bamboozling moseying hobnobbing pondering conjuring"


class Input(NamedTuple):
    t_s: float
    frame: Frame
    direction: str = "in"


def normalised(line: str) -> str:
    """A status line without spinner and seconds, its joke told plainly."""
    line = re.sub(r"^[^\w]+ ", "", line.strip())
    line = re.sub(r" • [\dms ]+ \|", " |", line)
    for joke in [*WAITING.split(), "twiddling thumbs"]:
        line = line.replace(f"{joke}…", "waiting")
    return line


def screen(name: str) -> list[tuple[float, str]]:
    """Every change of the real client's status line, and when it was first sampled."""
    changes: list[tuple[float, str]] = []
    for line in lines(name):
        shown = [one for one in line.get("lines", ()) if re.search(r"( \| (idle|error|aborted)$)|( • .* \| )", one)]
        if shown and (not changes or changes[-1][1] != normalised(shown[-1])):
            changes.append((line["rel"], normalised(shown[-1])))
    return changes


def typed(name: str) -> list[float]:
    return [line["rel"] + ENTER_S for line in lines(name) if "typed" in line]


def offset_s(name: str) -> float:
    """Wall clock minus the screen recording's own."""
    return float(next(line["abs"] - line["rel"] for line in lines(name) if "abs" in line))


def sent(t_s: float, run: str, session: str, ack_s: float) -> list[Input]:
    ask = Request(run, "chat.send", {"sessionKey": session, "message": "-", "idempotencyKey": run})
    return [Input(t_s, ask, "out"), Input(t_s + ack_s, Response(run, True, {"runId": run, "status": "started"}))]


def twin(name: str, at_s: float, *runs: str, until_s: float = 1e9) -> list[Input]:
    """The frames of some runs of a recording, the message's sending moved to ``at_s``."""
    out: list[Input] = []
    start = next(
        one.t_ns
        for one in recorded(name)
        if isinstance(one.frame, Request) and str(one.frame.params.get("idempotencyKey", "")).startswith(runs[0])
    )
    for t_ns, direction, frame in recorded(name):
        moved = at_s + (t_ns - start) / S
        asked = isinstance(frame, Request) and frame.params.get("idempotencyKey", "")
        said = frame.payload if isinstance(frame, GatewayEvent | Response) else {}
        run = asked or (said.get("runId", "") if isinstance(said, dict) else "")
        if run and run.startswith(runs) and moved < until_s:
            out.append(Input(moved, frame, direction))
    return out


def slow() -> tuple[str, list[Input]]:
    first, second = typed("tui-2026.2.17-slow-followup.jsonl")
    name = "openclaw-2026.2.17-ollama-slow.jsonl"
    runs = twin(name, first, "kmon-slow-5", "3d94cf52") + twin(name, second, "kmon-slow-f")
    return "agent:main:kmon-slow", runs


def hang() -> tuple[str, list[Input]]:
    first, second = typed("tui-2026.2.17-hang-followup.jsonl")
    name = "openclaw-2026.2.17-ollama-slow.jsonl"
    return "agent:main:kmon-slow", twin(name, first, "kmon-slow-5", until_s=second) + twin(name, second, "kmon-slow-f")


def flaky() -> tuple[str, list[Input]]:
    first, second = typed("tui-2026.2.17-flaky.jsonl")
    answer = twin("openclaw-2026.2.17-normal.jsonl", second, "kmon-normal")
    there = [one._replace(frame=parse(encode(one.frame).replace("kmon-normal", "kmon-flaky"))) for one in answer]
    return "agent:main:kmon-flaky", twin("openclaw-2026.2.17-flaky.jsonl", first, "kmon-flaky") + there


def hang_9() -> tuple[str, list[Input]]:
    """The very frames the client got; its own requests from what was typed."""
    screen_name, session = "tui-2026.9.6-hang-followup.jsonl", "agent:main:tuihang"
    first, second, escape = typed(screen_name)
    same = [
        (line["t"] - offset_s(screen_name), parse(json.dumps(line["frame"])))
        for line in lines("openclaw-2026.9.6-hang.jsonl")
        if line["dir"] == "in"
    ]
    got = [
        Input(t, one) for t, one in same if isinstance(one, GatewayEvent) and one.payload.get("sessionKey") == session
    ]
    runs = list(dict.fromkeys(one.frame.payload["runId"] for one in got if isinstance(one.frame, GatewayEvent)))
    abort = Request("esc", "chat.abort", {"sessionKey": session, "runId": runs[0]})
    acts = [
        *sent(first, runs[0], session, 0.05),
        *sent(second, runs[1], session, 0.3),
        Input(escape - ENTER_S, abort, "out"),
    ]
    return session, got + acts


class Case(NamedTuple):
    screen: str
    inputs: Any
    changes: int
    """How many changes of the real status line are compared."""


CASES = [
    Case("tui-2026.2.17-slow-followup.jsonl", slow, 3),
    Case("tui-2026.2.17-hang-followup.jsonl", hang, 3),
    Case("tui-2026.2.17-flaky.jsonl", flaky, 6),
    Case("tui-2026.9.6-hang-followup.jsonl", hang_9, 8),
]


def mirrored(case: Case) -> list[tuple[float, str]]:
    """Every change of the mirrored line, with its time on the screen recording's clock, to the recording's end."""
    session, inputs = case.inputs()
    claim, changes = ClientStatus(session), [(0.0, "")]
    hello_s = screen(case.screen)[0][0] - 0.1
    protocol = 3 if "2026.2" in case.screen else 4
    claim.feed(int(hello_s * S), Request("c", "connect"), "out")
    ready = [Input(hello_s, Response("c", True, {"type": "hello-ok", "protocol": protocol}))]
    if protocol == 4:
        ready += [Input(hello_s, Request("s", "sessions.subscribe"), "out"), Input(hello_s + 0.5, Response("s", True))]
    waiting = sorted(ready + inputs, key=lambda one: one.t_s)
    end_s = lines(case.screen)[-1]["rel"]
    for step in range(int((end_s + SAMPLE_S) * 20)):
        now_s = step / 20
        while waiting and waiting[0].t_s <= now_s:
            t_s, one, direction = waiting.pop(0)
            claim.feed(int(t_s * S), one, direction)
            if t_s >= hello_s and (told := claim.shown(int(t_s * S)).standing) != changes[-1][1]:
                changes.append((t_s, told))
    return changes[1:]


def alike(changes: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Without ``gateway``: the client draws the end of that greeting only when something else makes it draw."""
    out: list[tuple[float, str]] = []
    for t_s, line in changes:
        if not out or out[-1][1] != line.replace("gateway connected", "connected"):
            out.append((t_s, line.replace("gateway connected", "connected")))
    return out


@needs_recordings
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.screen)
def test_the_mirror_shows_what_the_real_client_showed(case: Case) -> None:
    real, mirror = alike(screen(case.screen)), alike(mirrored(case))
    assert len(real) == case.changes, real
    at = 0
    for shown_s, line in real:  # every change of the screen, in order, at its time
        fits = [i for i, (t_s, mine) in enumerate(mirror) if mine == line and -TWIN_S <= shown_s - t_s <= SAMPLE_S]
        found = next((i for i in fits if i >= at), None)
        assert found is not None, f"{line!r} at {shown_s} is not in {mirror[at:]}"
        at = found + 1
    ends = [*(t for t, _ in mirror[1:]), lines(case.screen)[-1]["rel"]]
    for (t_s, line), end_s in zip(mirror, ends, strict=True):  # and nothing else stood long enough to be sampled
        if end_s - t_s > SAMPLE_S:
            assert [shown for shown_s, shown in real if shown_s <= t_s + SAMPLE_S][-1] == line


@needs_recordings
def test_the_follow_up_makes_a_false_idle_while_the_first_run_goes_on() -> None:
    mirror = mirrored(CASES[0])
    enter_s = typed(CASES[0].screen)[1]
    assert [line for t, line in mirror if enter_s <= t < enter_s + 1] == [
        "sending | connected", "waiting | connected", "connected | idle",
    ]  # fmt: skip


@needs_recordings
def test_the_watchdog_speaks_when_the_real_one_did() -> None:
    name = "tui-2026.9.6-hang-followup.jsonl"
    real_s = next(line["rel"] for line in lines(name) if any(WATCHDOG_LINE in one for one in line.get("lines", ())))
    session, inputs = hang_9()
    claim = ClientStatus(session)
    for t_s, one, direction in sorted(inputs, key=lambda one: one.t_s):
        if t_s < real_s:
            claim.feed(int(t_s * S), one, direction)
    assert claim.shown(int((real_s - SAMPLE_S) * S)).notice != WATCHDOG_LINE
    assert claim.shown(int(real_s * S)).notice == WATCHDOG_LINE


def every_second(name: str, session: str, *, inferred: bool) -> list[str]:
    """The mirrored line at every second of a recording."""
    claim, shown = ClientStatus(session, inferred=inferred), list[str]()
    for t_ns, direction, one in recorded(name):
        while (len(shown) + 1) * S < t_ns:
            shown.append(claim.shown((len(shown) + 1) * S).standing)
        claim.feed(t_ns, one, direction)
    return shown


@needs_recordings
@pytest.mark.parametrize("name", OBSERVED)
def test_a_watcher_infers_the_line_that_the_sender_of_the_messages_shows(name: str) -> None:
    """But for the first fractions of a second of a run, and a follow-up before the gateway says a word of it."""
    asked = [one for _, _, one in recorded(name) if isinstance(one, Request) and one.method == "chat.send"]
    session = asked[0].params["sessionKey"]
    sender = every_second(name, session, inferred=False)
    observer = every_second(name.replace(".jsonl", ".observer.jsonl"), session, inferred=True)
    differing = [second for second, (a, b) in enumerate(zip(sender, observer, strict=False), 1) if a != b]
    if name == "openclaw-2026.9.6-hang.jsonl":
        differing = [second for second in differing if not 46 < second < 167]
    assert len(sender) > 1 and len(differing) <= 3, differing


def connected(protocol: int, *, inferred: bool = False) -> ClientStatus:
    claim = ClientStatus("s", inferred=inferred)
    claim.feed(0, Response("c", True, {"type": "hello-ok", "protocol": protocol}))
    return claim


def lifecycle(run: str, phase: str) -> GatewayEvent:
    told = {"runId": run, "sessionKey": "s", "stream": "lifecycle", "data": {"phase": phase}}
    return GatewayEvent("agent", told)


def chat(run: str, state: str) -> GatewayEvent:
    return GatewayEvent("chat", {"runId": run, "sessionKey": "s", "state": state, "errorMessage": "boom"})


def test_the_line_counts_the_seconds_of_an_activity() -> None:
    claim = connected(3)
    for one in sent(5, "r", "s", 0.1):
        claim.feed(int(one.t_s * S), one.frame, one.direction)
    claim.feed(6 * S, lifecycle("r", "start"))
    assert str(claim.shown(47 * S)) == "running • 41s | connected"
    assert str(claim.shown(131 * S)) == "running • 2m 5s | connected"


def test_a_greeting_and_a_farewell_last_for_seconds() -> None:
    claim = connected(3)
    assert str(claim.shown(1 * S)) == "gateway connected | idle"
    assert str(claim.shown(5 * S)) == "connected | idle"
    claim.disconnected(10 * S, "1012")
    assert str(claim.shown(11 * S)) == "gateway disconnected: 1012 | idle"
    assert str(claim.shown(16 * S)) == "disconnected | idle"


@pytest.mark.parametrize(("protocol", "at_once"), [(3, "error"), (4, "running")])
def test_the_newer_client_holds_an_error_back_for_it_may_be_tried_again(protocol: int, at_once: str) -> None:
    claim = connected(protocol)
    for one in sent(1, "r", "s", 0.1):
        claim.feed(int(one.t_s * S), one.frame, one.direction)
    claim.feed(2 * S, lifecycle("r", "start"))
    claim.feed(3 * S, lifecycle("r", "error"))
    assert claim.shown(4 * S).claim.activity == at_once
    assert claim.shown(19 * S).claim.activity == "error"


def test_a_refused_message_is_an_error() -> None:
    claim = connected(4)
    claim.feed(1 * S, sent(1, "r", "s", 0.1)[0].frame, "out")
    claim.feed(2 * S, Response("r", False))
    assert claim.shown(3 * S).claim.activity == "error"


def test_a_watcher_infers_the_client_of_a_session_from_its_runs() -> None:
    claim = connected(3, inferred=True)
    claim.feed(1 * S, lifecycle("a", "start"))
    assert claim.shown(2 * S).claim.activity == "running"
    claim.feed(3 * S, chat("b", "final"))
    assert claim.shown(60 * S).claim.standing == "connected | idle"


def test_runs_of_another_session_move_nothing() -> None:
    claim = ClientStatus("mine", inferred=True)
    claim.feed(1, lifecycle("a", "start"))
    claim.feed(2, chat("a", "error"))
    assert claim.shown(3).claim.activity == "idle"


@settings(deadline=None)
@given(st.lists(st.tuples(any_frame, st.sampled_from(["in", "out"])), max_size=12))
def test_whatever_a_payload_holds_the_mirror_never_raises(got: list[tuple[Frame, str]]) -> None:
    claim = ClientStatus("s", inferred=True)
    for t_ns, (one, direction) in enumerate(got):
        claim.feed(t_ns, one, direction)
        assert str(claim.shown(t_ns))
