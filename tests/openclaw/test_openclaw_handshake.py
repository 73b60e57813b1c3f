"""Promises of the handshake: both releases let kmon in, and whoever does not is explained in one sentence."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.websocket import explained
from kmon.openclaw.protocol.device import Device
from kmon.openclaw.protocol.frames import FrameError, GatewayError, GatewayEvent, GatewayRequest, GatewayResponse, parse
from kmon.openclaw.protocol.handshake import READ, WRITE, Access, Handshake, Hello, Refused, TryAgain, refusal
from kmon.openclaw.protocol.liveness import Gap, Sequence, Ticks

DEVICE = Device(bytes(range(32)))
CHALLENGE = GatewayEvent("connect.challenge", {"nonce": "n-1", "ts": 1795230860861})


def begun(access: Access) -> tuple[Handshake, dict[str, Any]]:
    handshake = Handshake(access, (READ, WRITE), lambda: DEVICE)
    asked = handshake.feed(CHALLENGE)
    assert isinstance(asked, GatewayRequest) and asked.method == "connect"
    return handshake, asked.params


def answered(payload: object) -> object:
    handshake, _ = begun(Access(token="t"))
    return handshake.feed(GatewayResponse("connect", True, payload))


def test_connect_asks_for_both_protocols_under_names_the_gateway_knows() -> None:
    _, asked = begun(Access(token="secret-token"))
    assert (asked["minProtocol"], asked["maxProtocol"]) == (3, 4)
    assert (asked["client"]["id"], asked["client"]["mode"]) == ("cli", "cli")
    assert (asked["client"]["displayName"], asked["client"]["instanceId"]) == ("kmon", "kmon")
    assert asked["auth"] == {"token": "secret-token"} and asked["scopes"] == [READ, WRITE]


def test_a_password_is_sent_as_one_and_nothing_when_there_is_nothing() -> None:
    assert begun(Access(password="pw"))[1]["auth"] == {"password": "pw"}
    assert "auth" not in begun(Access())[1]
    assert "pw" not in repr(Access(password="pw")) and "tk" not in repr(Access(token="tk"))


def test_the_device_signs_the_challenge_in_version_2() -> None:
    _, asked = begun(Access(token="tok"))
    device = asked["device"]
    key, signature = (base64.urlsafe_b64decode(device[name] + "==") for name in ("publicKey", "signature"))
    text = f"v2|{device['id']}|cli|cli|operator|{READ},{WRITE}|1795230860861|tok|n-1"
    Ed25519PublicKey.from_public_bytes(key).verify(signature, text.encode())
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(key).verify(signature, text.replace("n-1", "n-2").encode())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (GatewayError("INVALID_REQUEST", "unauthorized: gateway token mismatch"), "refuses the token"),
        (GatewayError("INVALID_REQUEST", "x", {"code": "AUTH_TOKEN_MISMATCH"}), "refuses the token"),
        (GatewayError("NOT_PAIRED", "pairing required"), "openclaw devices approve"),
        (GatewayError("PROTOCOL_MISMATCH", "", {"expectedProtocol": 5}), "(it expects 5)"),
        (GatewayError("SOMETHING", "new\x1b[31m words"), "refuses to connect: new[31m words"),
    ],
)
def test_a_refusal_says_what_and_what_to_do(error: GatewayError, words: str) -> None:
    step = refusal(error)
    assert isinstance(step, Refused) and words in step.error.message and "\n" not in step.error.message


def test_a_gateway_that_starts_says_when_to_come_again() -> None:
    step = refusal(GatewayError("UNAVAILABLE", "starting", {"reason": "startup-sidecars"}, True, 700))
    assert step == TryAgain(700, "starting")


@pytest.mark.parametrize("payload", [None, [], {"type": "hello-ok"}, {"type": "hello-ok", "protocol": 9}, "hi"])
def test_an_answer_that_is_no_hello_is_refused(payload: object) -> None:
    assert isinstance(answered(payload), Refused)


def test_a_scope_that_was_taken_away_is_said() -> None:
    step = answered({"type": "hello-ok", "protocol": 4, "auth": {"scopes": [READ]}})
    assert isinstance(step, Refused) and "without operator.write" in step.error.message


def recordings() -> list[Path]:
    place = os.environ.get("KMON_GATEWAY_RECORDINGS")
    return sorted(Path(place).glob("*2026.*.jsonl")) if place else []


@pytest.mark.parametrize("path", recordings(), ids=lambda path: path.stem)
def test_every_recorded_handshake_ends_in_a_hello(path: Path) -> None:
    handshake, sequence, steps, gaps = Handshake(Access(), (), lambda: DEVICE), Sequence(), [], []
    for line in path.read_text("utf-8").splitlines():
        entry = json.loads(line)
        if entry.get("dir") != "in" or not isinstance(entry.get("frame"), dict):
            continue
        if entry["frame"].get("type") == "res" and not any(isinstance(step, Hello) for step in steps):
            entry["frame"]["id"] = "connect"
        frame = parse(json.dumps(entry["frame"]))
        if not any(isinstance(step, Hello) for step in steps) and (step := handshake.feed(frame)) is not None:
            steps.append(step)
        if isinstance(frame, GatewayEvent) and (gap := sequence.see(frame.seq)) is not None:
            gaps.append(gap)
    if not steps:
        pytest.skip("the recording holds no handshake")
    assert isinstance(steps[0], GatewayRequest) and isinstance(steps[1], Hello)
    hello = steps[1]
    allowed = 0 if hello.protocol >= 4 else 1  # 2026.2 counts what another client got, too
    assert sum(gap.lost for gap in gaps) <= allowed
    assert hello.protocol == (3 if "2026.2" in path.name else 4)
    assert (hello.tick_ms, hello.max_payload_bytes) == (30_000, 26_214_400)


SCALARS = st.none() | st.booleans() | st.floats() | st.text()


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_no_hello_whatever_it_holds_is_more_than_refused(payload: object) -> None:
    assert isinstance(answered(payload), Refused | Hello)
    with contextlib.suppress(FrameError):
        odd = GatewayEvent("connect.challenge", {"nonce": payload, "ts": payload})
        Handshake(Access(), (), lambda: DEVICE).feed(odd)


# -- gaps, ticks, codes ------------------------------------------------------------------------------------------------


def test_the_first_number_is_the_base_and_a_hole_is_a_gap() -> None:
    sequence = Sequence()
    assert [sequence.see(n) for n in (164, 165, None, 168, 169, 1, 2)] == [None, None, None, Gap(166, 168), *[None] * 3]


@given(st.lists(st.integers(0, 50)))
def test_what_is_lost_is_what_was_jumped_over(jumps: list[int]) -> None:
    sequence, number, lost = Sequence(last=0), 0, 0
    for jump in jumps:
        number += 1 + jump
        gap = sequence.see(number)
        lost += gap.lost if gap is not None else 0
    assert lost == sum(jumps)


def test_a_gateway_is_dead_after_two_intervals_without_any_frame() -> None:
    ticks = Ticks(interval_ms=30_000, last_ns=0)
    assert ticks.deadline_ns == 60_000_000_000
    ticks.see(10_000_000_000)
    assert ticks.deadline_ns == 70_000_000_000


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1006, 1008, 1009, 1011, 1012, 1013, 4000, 4123, 1999])
def test_every_code_has_words(code: int) -> None:
    assert explained(code).startswith(f"{code} (") and len(explained(code)) > 12
    assert explained(1008, "slow consumer").endswith("it said: slow consumer")
