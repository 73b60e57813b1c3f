"""The run tracker on recordings of two real gateways, and on frames no gateway would send."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.openclaw.protocol.frames import Frame, GatewayError, GatewayEvent, GatewayRequest, GatewayResponse
from kmon.openclaw.protocol.run import GatewayRun
from kmon.openclaw.protocol.tracker import RUNS_LIMIT, Change, Tracker, history_texts, in_flight
from tests.support.gateway_recordings import ALL, OBSERVED, any_frame, needs_recordings, recorded, replayed


def only(tracker: Tracker, session: str) -> GatewayRun:
    """The one run of a session that said something."""
    runs = [run for run in tracker.of(f"agent:main:kmon-{session}") if run.begun]
    assert len(runs) == 1
    return runs[0]


def text_of(changes: list[Change], run: GatewayRun) -> str:
    return "".join(c.delta.text for c in changes if c.delta is not None and c.run is run)


@needs_recordings
@pytest.mark.parametrize("name", ALL)
def test_a_runs_deltas_say_its_text_once_unless_the_gateway_tries_again(name: str) -> None:
    tracker, changes = replayed(name)
    assert tracker.runs
    for run in tracker.runs.values():
        said = text_of(changes, run)
        if run.tries > 1:
            assert said.endswith(run.answer.text)
            assert len(said) == len(run.answer.text) + run.answer.discarded_chars
        else:
            assert said == run.answer.text


@needs_recordings
@pytest.mark.parametrize("name", OBSERVED)
def test_the_observer_sees_the_texts_and_ends_that_the_sender_sees(name: str) -> None:
    sender, _ = replayed(name)
    observer, _ = replayed(name.replace(".jsonl", ".observer.jsonl"))
    assert set(sender.runs) == set(observer.runs)
    for run_id, run in sender.runs.items():
        other = observer.runs[run_id]
        facts = ("lifecycle", "chat", "tries", "empty_final", "open", "waiting", "stop_reason", "error", "unseen_chars")
        assert [getattr(run, fact) for fact in facts] == [getattr(other, fact) for fact in facts]
        assert run.answer.text == other.answer.text


@needs_recordings
@pytest.mark.parametrize("release", ["2026.2.17", "2026.9.6"])
def test_a_normal_answer_is_one_run_that_began_answered_and_ended(release: str) -> None:
    tracker, changes = replayed(f"openclaw-{release}-normal.jsonl")
    run = only(tracker, "normal")
    assert run.origin == "sent" and run.answered and not run.open and run.tries == 1
    assert run.answer.text == " ".join(f"word{i}" for i in range(12))
    finals = [c.delta for c in changes if c.delta is not None and c.delta.done]
    assert len(finals) == 1 and finals[0].finish_reason == "stop"


@needs_recordings
def test_a_follow_up_in_collect_mode_waits_and_its_turn_is_born_as_a_new_run() -> None:
    waiting, changes = replayed("openclaw-2026.2.17-ollama-slow.jsonl", until_s=20)
    running, queued = waiting.of("agent:main:kmon-slow")
    assert running.open and not queued.answered and queued.empty_final and queued.waiting
    assert queued.behind == running.id
    assert waiting.sessions["agent:main:kmon-slow"].queue == [queued.id]
    assert ("chat-empty", "queued") in [c.kinds for c in changes]

    tracker, _ = replayed("openclaw-2026.2.17-ollama-slow.jsonl")
    _, queued, born = tracker.of("agent:main:kmon-slow")
    assert born.origin == "queue" and born.behind == queued.id and born.answered
    assert not queued.waiting and tracker.sessions["agent:main:kmon-slow"].queue == []


@needs_recordings
def test_a_silent_retry_is_told_from_an_error_and_its_text_is_kept() -> None:
    tracker, changes = replayed("openclaw-2026.2.17-flaky.jsonl")
    run = only(tracker, "flaky")
    assert run.chat == "error" and run.lifecycle == "end" and run.silent_retry
    assert run.answer.text == " ".join(f"word{i}" for i in range(100, 112))
    assert run.unseen_chars == len(run.answer.text)
    assert [c.delta.done for c in changes if c.delta is not None and "ended" in c.kinds][-1]


@needs_recordings
def test_a_reset_of_protocol_4_is_eight_tries_of_one_run_and_one_error() -> None:
    tracker, _ = replayed("openclaw-2026.9.6-reset.jsonl")
    run = only(tracker, "reset")
    assert run.tries == 8 and run.chat == "error" and run.chat_errors == 2
    assert run.error == "LLM request timed out." and not run.silent_retry


@needs_recordings
def test_the_sender_sees_tools_and_so_does_an_observer_of_protocol_4() -> None:
    sender, changes = replayed("openclaw-2026.9.6-tool.jsonl", until_s=5)
    tool = only(sender, "tool").open_tool
    assert tool is not None and tool.name == "exec"
    fragments = [t for c in changes if c.delta is not None for t in c.delta.tools]
    assert [(t.index, t.id, t.name) for t in fragments] == [(0, "call_1", "exec")] * 2
    assert "".join(t.arguments for t in fragments) == '{"command":"sleep 4; echo tool-done-1"}'

    observer, _ = replayed("openclaw-2026.9.6-tool.observer.jsonl", until_s=5)
    assert only(observer, "tool").open_tool is not None
    blind, _ = replayed("openclaw-2026.2.17-tool.observer.jsonl", until_s=4)
    assert only(blind, "tool").tools == {}


@needs_recordings
def test_a_hang_stays_open_and_ticks_go_on() -> None:
    tracker, changes = replayed("openclaw-2026.9.6-hang.jsonl", until_s=100)
    assert only(tracker, "hang").open
    assert [change.kinds for change in changes].count(("tick",)) == 3 and tracker.connection.ticking(int(100e9))
    assert not tracker.connection.ticking(int(200e9))


def histories(name: str) -> list[object]:
    """Every answer to ``chat.history`` in a recording."""
    asked = {f.id for _, _, f in recorded(name) if isinstance(f, GatewayRequest) and f.method == "chat.history"}
    return [f.payload for _, _, f in recorded(name) if isinstance(f, GatewayResponse) and f.id in asked]


@needs_recordings
def test_the_history_has_the_answer_that_the_chat_never_got() -> None:
    answer = replayed("openclaw-2026.2.17-flaky.jsonl")[0].runs["kmon-flaky-e1324b"].answer.text
    said = history_texts(histories("openclaw-2026.2.17-flaky.jsonl")[-1])[-1]
    assert said.strip() == answer  # events come trimmed, the transcript as the provider wrote it


@needs_recordings
def test_the_history_of_protocol_4_tells_the_run_in_flight() -> None:
    told = in_flight(histories("openclaw-2026.9.6-hang.jsonl")[0])
    tracker, _ = replayed("openclaw-2026.9.6-hang.jsonl", until_s=46)
    assert told["text"] == tracker.runs[told["runId"]].answer.text
    assert in_flight(histories("openclaw-2026.9.6-normal.jsonl")[0]) == {}


def chat(run: str, state: str, **more: object) -> GatewayEvent:
    return GatewayEvent("chat", {"runId": run, "sessionKey": "s", "state": state, **more})


def agent(run: str, stream: str, seq: int, **told: object) -> GatewayEvent:
    return GatewayEvent("agent", {"runId": run, "sessionKey": "s", "stream": stream, "seq": seq, "data": told})


def message(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def fed(*frames: Frame) -> tuple[Tracker, str]:
    tracker, said = Tracker(), ""
    for t_ns, frame in enumerate(frames):
        said += "".join(c.delta.text for c in tracker.feed(t_ns, frame) if c.delta is not None)
    return tracker, said


def test_an_answer_that_only_the_chat_tells_is_an_answer() -> None:
    tracker, said = fed(chat("r", "delta", message=message("Hel")), chat("r", "final", message=message("Hello")))
    assert said == "Hello" == tracker.runs["r"].answer.text and tracker.runs["r"].answered


def test_text_that_was_lost_on_the_way_comes_with_the_final() -> None:
    _, said = fed(
        agent("r", "lifecycle", 1, phase="start"),
        agent("r", "assistant", 2, text="Hel", delta="Hel"),
        chat("r", "final", message=message("Hello")),
    )
    assert said == "Hello"


def test_a_frame_that_comes_twice_says_nothing_new() -> None:
    twice = agent("r", "assistant", 2, text="Hello", delta="Hello")
    _, said = fed(agent("r", "lifecycle", 1, phase="start"), twice, twice)
    assert said == "Hello"


def test_a_refused_message_ends_its_run_with_the_gateways_words() -> None:
    tracker = Tracker()
    tracker.feed(0, GatewayRequest("1", "chat.send", {"sessionKey": "s", "idempotencyKey": "r"}), "out")
    changes = tracker.feed(1, GatewayResponse("1", False, error=GatewayError("UNAVAILABLE", "starting")))
    assert changes[0].kinds == ("refused",) and tracker.runs["r"].error == "starting"
    assert not tracker.runs["r"].open and not tracker.runs["r"].waiting


def test_memory_is_bounded_and_open_runs_are_kept() -> None:
    tracker, _ = fed(agent("open", "lifecycle", 1, phase="start"), *(chat(f"r{i}", "final") for i in range(1200)))
    assert len(tracker.runs) <= RUNS_LIMIT and tracker.runs["open"].open


@given(st.lists(st.tuples(any_frame, st.sampled_from(["in", "out"])), max_size=12))
def test_whatever_a_payload_holds_the_tracker_never_raises(sent: list[tuple[Frame, Any]]) -> None:
    tracker = Tracker()
    for t_ns, (one, direction) in enumerate(sent):
        for change in tracker.feed(t_ns, one, direction):
            assert change.kinds or change.delta is not None
        for run in tracker.runs.values():
            assert not (run.open and run.waiting) and run.short is not None
