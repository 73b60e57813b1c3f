"""Every recording of two real gateways gets the right diagnosis, at a telling moment and at its end."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from kmon.openclaw.diagnosis import diagnose, diagnoses
from kmon.openclaw.protocol.client_status import Shown
from kmon.openclaw.protocol.run import GatewayRun
from kmon.openclaw.protocol.tracker import Tracker
from kmon.openclaw.provider_side import ProviderSide
from kmon.openclaw.recording import closed, duration_ns
from kmon.openclaw.snapshot import take_snapshot
from kmon.stream.claim import Claim
from tests.support.gateway_recordings import ALL, lines, needs_recordings, replayed

S = 1_000_000_000


class Expected(NamedTuple):
    """``at_s`` into the recording the run of the scenario shows ``then``; when it ends it shows ``last``."""

    at_s: float
    then: str | None
    last: str | None
    provider: ProviderSide = ProviderSide()


UNSEEN = ProviderSide()
TABLE = {
    # it spoke all the time
    "2026.2.17-normal": Expected(2, None, None),
    "2026.9.6-normal": Expected(3, None, None),
    # the abort was asked for, and is no hang
    "2026.2.17-abort": Expected(4, None, None),
    "2026.9.6-abort": Expected(4, None, None),
    # four seconds of a tool are under the threshold; the three tools of the other run are, each
    "2026.2.17-tool": Expected(5, None, None),
    "2026.9.6-tool": Expected(7, None, None),
    "2026.2.17-multitool": Expected(4, None, None),
    # 20 s of silence with ticks, then the rest: from the gateway alone, provider and adapter look alike
    "2026.2.17-stall20": Expected(18, "cannot-tell", None),
    "2026.9.6-stall20": Expected(18, "cannot-tell", None),
    "2026.9.6-burst": Expected(15, "cannot-tell", None),
    # mechanism A: an adapter that buffers, known to be one from the provider's side
    "2026.2.17-ollama-normal": Expected(1, None, None),
    # mechanism B: the follow-up got its empty final at 8.05 s while the first run went on
    "2026.2.17-ollama-slow": Expected(20, "queued-follow-up", None),
    "2026.2.17-hang": Expected(15, "cannot-tell", "queued-follow-up"),
    # 9.6 acknowledges a steered follow-up and ends its chat when the model call ends, at 166.8 s
    "2026.9.6-hang": Expected(100, "cannot-tell", "queued-follow-up"),
    # mechanism C: the chat heard "terminated", the agent's second try had the answer
    "2026.2.17-flaky": Expected(5, "chat-link-lost", "chat-link-lost"),
    "2026.2.17-reset": Expected(3.371, "chat-link-lost", "chat-link-lost"),
    # 9.6 tries again aloud, and only the last failure ends the run; "timeout" was a reset
    "2026.9.6-flaky": Expected(6, None, None),
    "2026.9.6-reset": Expected(18, "gateway-retrying", None),
    "2026.9.6-http500": Expected(17, "gateway-retrying", None),
    "2026.9.6-eof": Expected(24, "gateway-retrying", None),
    "2026.9.6-empty": Expected(0.4, None, None),
    # 2.17 takes a stream without an end for an answer: no gateway frame tells that it was cut
    "2026.2.17-eof": Expected(1, None, None),
    # 2.17 stops in 0.2 s and ends no chat; 9.6 drains the run before it says shutdown
    "2026.2.17-shutdown": Expected(4, None, "gateway-stopped"),
    "2026.9.6-shutdown": Expected(20, None, None),
}
CASES = [(name, name.removeprefix("openclaw-").partition(".observer")[0].removesuffix(".jsonl")) for name in ALL]


def first_run(tracker: Tracker, scenario: str) -> GatewayRun:
    """The run of the scenario's first message."""
    name = scenario.split("-", 1)[1].removeprefix("ollama-").replace("shutdown", "sd")
    return next(run for run in tracker.runs.values() if run.id.startswith(f"kmon-{name}-"))


def told(name: str, scenario: str, at_s: float, provider: ProviderSide = UNSEEN, *, ended: bool = False) -> str | None:
    tracker, _ = replayed(name, until_s=at_s)
    gone = ended and closed(lines(name)) is not None
    found = diagnose(
        take_snapshot(tracker, first_run(tracker, scenario), int(at_s * S), provider=provider, closed=gone)
    )
    return None if found is None else found.name


@needs_recordings
@pytest.mark.parametrize(("name", "scenario"), CASES)
def test_every_recording_shows_the_right_diagnosis_to_sender_and_observer(name: str, scenario: str) -> None:
    expected = TABLE[scenario]
    late_s = 0.05 if "observer" in name else 0.0
    assert told(name, scenario, expected.at_s + late_s) == expected.then
    assert told(name, scenario, duration_ns(lines(name)) / S, ended=True) == expected.last


@needs_recordings
def test_every_scenario_of_both_releases_is_in_the_table() -> None:
    assert {scenario for _, scenario in CASES} == set(TABLE)


@needs_recordings
@pytest.mark.parametrize(
    ("scenario", "at_s", "provider", "name"),
    [
        ("2026.9.6-stall20", 18, ProviderSide("silent", 16, 5), "provider-stall"),
        ("2026.9.6-burst", 15, ProviderSide("flowing", 0.5, 30), "adapter-buffering"),
        ("2026.9.6-burst", 15, ProviderSide("silent", 14.4), "provider-stall"),
        ("2026.2.17-ollama-slow", 7, ProviderSide("flowing", 0.2, 14), "adapter-buffering"),
        ("2026.9.6-hang", 100, ProviderSide("finished", 90, 5, 90), "gateway-stuck"),
        ("2026.9.6-hang", 100, ProviderSide("none"), "gateway-stuck"),
    ],
)
def test_the_providers_side_settles_what_the_gateway_alone_cannot(
    scenario: str, at_s: float, provider: ProviderSide, name: str
) -> None:
    assert told(f"openclaw-{scenario}.jsonl", scenario, at_s) == "cannot-tell"
    assert told(f"openclaw-{scenario}.jsonl", scenario, at_s, provider) == name


@needs_recordings
def test_the_sentence_carries_the_figures() -> None:
    tracker, _ = replayed("openclaw-2026.2.17-ollama-slow.jsonl", until_s=35)
    found = diagnose(take_snapshot(tracker, first_run(tracker, "2026.2.17-slow"), 35 * S))
    assert found is not None
    assert found.sentence == (
        "message b52b got an empty final while run 29fd is open 35 s, last frame 35 s ago; beneath it: run 29fd is "
        "silent for 35 s, ticks go on; cannot tell without the provider's side whether it is provider-stall or "
        "adapter-buffering"
    )
    assert found.advice.startswith("Wait for the open run")


@needs_recordings
def test_tools_are_no_silence_to_who_sees_them_and_said_to_be_hidden_from_who_does_not() -> None:
    scenario = "2026.2.17-multitool"
    assert told(f"openclaw-{scenario}.jsonl", scenario, 6.1) is None
    tracker, _ = replayed(f"openclaw-{scenario}.observer.jsonl", until_s=6.1)
    blind = diagnose(take_snapshot(tracker, first_run(tracker, scenario), int(6.1 * S)))
    assert blind is not None and blind.name == "cannot-tell" and "shows tools to the sender alone" in blind.sentence


@needs_recordings
def test_a_queued_message_itself_says_what_it_waits_for() -> None:
    tracker, _ = replayed("openclaw-2026.2.17-hang.jsonl", until_s=40)
    queued = tracker.runs["kmon-hang-f-9d31f8"]
    found = diagnose(take_snapshot(tracker, queued, 40 * S))
    assert found is not None and found.sentence == "message 31f8 waits behind run f175; its final was empty"


@needs_recordings
def test_a_dead_link_is_the_event_loop_and_a_busy_line_after_the_answer_is_the_client() -> None:
    tracker, _ = replayed("openclaw-2026.9.6-hang.jsonl", until_s=100)
    dead = diagnose(take_snapshot(tracker, first_run(tracker, "2026.9.6-hang"), 200 * S))
    assert dead is not None and dead.name == "gateway-event-loop"
    tracker, _ = replayed("openclaw-2026.9.6-normal.jsonl")
    run = first_run(tracker, "2026.9.6-normal")
    busy = Shown(Claim("streaming", "connected", busy=True), 12)
    client = diagnose(take_snapshot(tracker, run, 17 * S, claim=busy, claim_since_ns=5 * S))
    assert client is not None and client.name == "client" and "streaming • 12s | connected" in client.sentence


def test_every_diagnosis_is_explained() -> None:
    names = {"provider-stall", "adapter-buffering", "gateway-stuck", "chat-link-lost", "queued-follow-up", "client"}
    assert set(diagnoses()) == names | {"gateway-event-loop", "gateway-retrying", "gateway-stopped", "cannot-tell"}
