"""Places where something is wrong before a request is read, each met by a real client; and how they are asked for."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from kmon.errors import UsageError
from kmon.simulator import profile
from kmon.simulator.embedded import Embedded
from kmon.simulator.endpoints import PLACES
from kmon.simulator.server import Simulator
from tests.support.talk import Body

IMPATIENT = httpx.Timeout(10, connect=0.3, read=0.3)


@pytest.fixture
async def everywhere() -> AsyncIterator[Simulator]:
    async with Simulator(profile.load("smooth"), speed=200, places=tuple(PLACES)) as simulator:
        yield simulator


def trusting(simulator: Simulator) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=simulator.opened_places.authority_pem.decode())


@pytest.mark.parametrize(
    ("place", "error", "told"),
    [
        ("no-such-host", httpx.ConnectError, None),
        ("refused", httpx.ConnectError, None),
        ("black-hole", httpx.ConnectTimeout, None),
        ("mute", httpx.ReadTimeout, None),
        ("mute-tls", httpx.ConnectTimeout, None),
        ("plain-as-tls", httpx.ConnectError, "(?i)wrong.version|record"),
        ("expired-certificate", httpx.ConnectError, "expired"),
        ("foreign-certificate", httpx.ConnectError, "(?i)ip address mismatch"),
        ("self-signed-certificate", httpx.ConnectError, "self.signed"),
    ],
)
async def test_a_place_is_as_bad_as_it_says(
    everywhere: Simulator, place: str, error: type[Exception], told: str | None
) -> None:
    async with httpx.AsyncClient(timeout=IMPATIENT, verify=trusting(everywhere), trust_env=False) as client:
        with pytest.raises(error, match=told):
            await client.get(f"{everywhere.opened_places.origins[place]}/v1/models")


async def test_behind_the_good_certificate_is_the_same_simulator(everywhere: Simulator, body: Body) -> None:
    async with httpx.AsyncClient(timeout=20, verify=trusting(everywhere), trust_env=False) as client:
        answer = await client.post(f"{everywhere.opened_places.origins['tls']}/groq/v1/chat/completions", json=body)
    assert answer.text.endswith("data: [DONE]\n\n")
    assert everywhere.request_log.newest[-1].provider == "groq"


async def test_what_a_client_does_at_a_mute_place_is_in_the_ledger(everywhere: Simulator) -> None:
    async with httpx.AsyncClient(timeout=IMPATIENT, trust_env=False) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(everywhere.opened_places.origins["mute"])
    async with asyncio.timeout(20):
        while (row := everywhere.report(stamps=False)["requests"][-1])["ended"] == "open":
            await asyncio.sleep(0.01)
    assert (row["fault"], row["client"]["did"]) == ("mute", "gave-up")


async def test_without_places_no_certificate_is_made_and_no_port_opened() -> None:
    async with Simulator(profile.load("smooth")) as simulator:
        assert simulator.opened_places.origins == {}
        assert simulator.opened_places.authority_pem == b""


async def test_a_profile_sends_providers_to_places(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text('[places]\n"mist*" = "refused"\n')
    async with Embedded(str(file)) as simulator:
        assert simulator.origin_for("mistral") == simulator.origins["refused"]
        assert simulator.origin_for("groq") == simulator.origin


async def test_one_fault_or_place_for_all() -> None:
    async with Embedded(fault="refused") as simulator:
        assert simulator.origin_for("anybody") == simulator.origins["refused"]
    faulty = profile.load("smooth").with_fault("stall:duration_s=3")
    facts = profile.Facts("p", "m", tools=False, tool_result=False, nudge=False)
    assert faulty.fault(facts, seed=1, turn=1).name == "stall"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '[places]\nnvidia = "nowhere"\n',
            "line 2, key 'places.nvidia': unknown place 'nowhere'; the places are no-such",
        ),
        ("[places]\nnvidia = 3\n", "line 2, key 'places.nvidia': unknown place 3"),
        ("places = 3\n", "line 1, key 'places': places are written as"),
        ('[[rule]]\nfault = "stall"\nprompt_chars = -1\n', "line 3, key 'rule.prompt_chars'"),
        ('[[rule]]\nfault = "stall"\ninclude_usage = "yes"\n', "line 3, key 'rule.include_usage'"),
        ('[[rule]]\nfault = "stall"\nprobability = 1.5\n', "line 3, key 'rule.probability'"),
        ('[[rule]]\nfault = "stal"\n', "line 2, key 'rule.fault': unknown fault 'stal'"),
        ('[[rule]]\nfault = "stall"\ndurations = 1\n', "line 3, key 'rule.durations'"),
        ("[place]\n", "line 1, key 'place': unknown key; did you mean places?"),
    ],
)
def test_what_cannot_be_is_refused_with_file_line_and_key(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "p.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        profile.load(str(file))
    assert str(refused.value).startswith(f"{file} line ")
    assert told in str(refused.value).replace("rule[0]", "rule")


@pytest.mark.parametrize("name", ["nowhere", "stall:duration_s=-1", "stall:length=3", ""])
def test_a_fault_that_is_none_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(UsageError, match="--fault"):
        profile.load("smooth").with_fault(name)


async def test_the_clock_of_a_provider_may_be_wrong(http: httpx.AsyncClient) -> None:
    skewed = profile.load("smooth").with_fault("clock-skew:skew_s=86400")
    async with Simulator(skewed) as simulator:
        date = (await http.get(f"{simulator.origin}/v1/models")).headers["date"]
    assert time.time() + 80_000 < _seconds(date) < time.time() + 90_000


def _seconds(date: str) -> float:
    from email.utils import parsedate_to_datetime

    return parsedate_to_datetime(date).timestamp()
