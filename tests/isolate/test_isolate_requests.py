"""Which factors can be varied in a request, which cannot and why, and that every combination is what it says."""

from __future__ import annotations

from itertools import product

import pytest
from msgspec.structs import replace

from kmon.catalog.environment import Environment
from kmon.catalog.resolve import resolve_target
from kmon.catalog.trust import Trust
from kmon.dialects.registry import dialect
from kmon.engine.plan import Row
from kmon.engine.selection import in_dialect
from kmon.errors import UsageError
from kmon.isolate.factors import FACTORS, Factor
from kmon.isolate.places import Places, check_elsewhere, check_other_model, has_own_key, places_of
from kmon.isolate.requests import Requests, chosen, obstacles, parts_of
from tests.support.isolating import CATALOG, beside, tokyo

REPORTED = [
    ("bedrock/kimi-k2.5", "tool-result"),
    ("together", "code-tools"),
    ("moonshot", "tool-result"),
    ("together", "long-context:5000"),
    ("deepinfra", "minimal"),
    ("anthropic", "tool-call"),
    ("gemini", "tool-result"),
]


def row(target: str, scenario: str) -> Row:
    return tokyo(target, scenario)


def request_factors(reported: Row) -> list[Factor]:
    return [factor for factor in chosen(reported, beside(reported.target)) if factor.stage == "request"]


def first_stage(reported: Row) -> Requests:
    """The requests of the first stage."""
    places = beside(reported.target)
    factors = request_factors(reported)
    parts = parts_of(reported, places, factors)
    inner = {part.name for found in parts.values() for part in found}
    return Requests(reported, places, [factor for factor in factors if factor.name not in inner], parts)


def parts(reported: Row) -> dict[str, set[str]]:
    places = beside(reported.target)
    found = parts_of(reported, places, request_factors(reported))
    return {name: {part.name for part in inner} for name, inner in found.items()}


@pytest.mark.parametrize(("target", "scenario"), REPORTED)
def test_every_combination_is_a_request_that_has_what_it_says(target: str, scenario: str) -> None:
    reported = row(target, scenario)
    requests = first_stage(reported)
    names = set()
    for config in product((True, False), repeat=len(requests.factors)):
        found = requests.row(config)
        assert found is not None, requests.label(config)
        for factor, kept in zip(requests.factors, config, strict=True):
            assert factor.present(found, reported) == kept
        assert dialect(found.target.dialect).unsupported(found.target, found.scenario) is None
        names.add((found.target.name, found.scenario.name))
    assert requests.linked() == () and len(names) == 2 ** len(requests.factors), "each has a name of its own"


def test_what_cannot_be_combined_is_linked_and_nothing_else() -> None:
    reported = row("moonshot", "tool-result")
    spoken = replace(in_dialect(reported.target, "converse"), name="moonshot:converse")  # no result without tools
    places = replace(beside(reported.target), other_dialect=spoken)
    requests = Requests(
        reported, places, [factor for factor in chosen(reported, places) if factor.stage == "request"], {}
    )
    assert requests.linked()
    for config in product((True, False), repeat=len(requests.factors)):
        forbidden = any(all(config[at] == level for at, level in levels) for levels in requests.linked())
        assert forbidden == (requests.row(config) is None)


@pytest.mark.parametrize(("target", "scenario"), REPORTED)
def test_every_part_can_be_varied_by_itself(target: str, scenario: str) -> None:
    reported = row(target, scenario)
    places = beside(reported.target)
    for inner in parts_of(reported, places, request_factors(reported)).values():
        requests = Requests(reported, places, inner, {})
        assert requests.row((False,) * len(inner)) is not None


def test_the_request_as_reported_is_left_as_it_is() -> None:
    reported = row("together", "code-tools")
    requests = first_stage(reported)
    config = (True,) * len(requests.factors)
    assert requests.row(config) == reported and requests.label(config) == "as reported"


def test_bedrock_takes_no_result_without_tools_so_that_it_is_a_part_of_them() -> None:
    assert parts(row("bedrock/kimi-k2.5", "tool-result")) == {"tools": {"tool-result"}}
    assert "tool-result" not in parts(row("together", "tool-result")).get("tools", set())


def test_without_tools_there_are_no_parallel_calls_and_without_a_stream_no_usage() -> None:
    found = parts(row("together", "code-tools"))
    assert found["tools"] == {"parallel-calls"} and found["streaming"] == {"include-usage"}


def test_a_dialect_that_cannot_carry_the_request_is_not_tried() -> None:
    reported = row("deepinfra", "tool-result")
    native = replace(beside(reported.target), other_dialect=resolve_target(CATALOG, "deepinfra-native"))
    assert "it has no tools" in obstacles(reported, native)["dialect"]


@pytest.mark.parametrize(
    ("target", "scenario", "factor", "why"),
    [
        ("together", "minimal", "tools", "no tools"),
        ("together", "code-tools", "tool-result", "no tool result"),
        ("together", "minimal", "prompt-size", "no message is longer"),
        ("together", "minimal", "history", "nothing stands before"),
        ("openrouter", "minimal", "include-usage", "does not ask"),
        ("anthropic", "minimal", "include-usage", "messages dialect"),
        ("bedrock/kimi-k2.5", "tool-result", "http-version", "HTTP/1.1"),
        ("together", "minimal", "at-once", "sent together"),
        ("gemini", "minimal", "other-model", "--other-model"),
    ],
)
def test_the_reason_is_told_of_what_cannot_be_varied(target: str, scenario: str, factor: str, why: str) -> None:
    reported = row(target, scenario)
    assert why in obstacles(reported, beside(reported.target))[factor]


def test_a_factor_that_was_named_and_cannot_be_varied_is_refused() -> None:
    reported = row("together", "minimal")
    with pytest.raises(UsageError, match="the factor tools cannot be varied in this request: the scenario offers no"):
        chosen(reported, beside(reported.target), ["tools"])
    with pytest.raises(UsageError, match="there is no factor 'tooling'"):
        chosen(reported, beside(reported.target), [], ["tooling"])


def test_over_a_websocket_there_is_no_used_connection_to_vary() -> None:
    reported = row("openai-responses", "minimal")
    socket = Row(replace(reported.target, base_url="wss://api.openai.com/v1"), reported.scenario)
    assert obstacles(reported, Places())["connection"] == ""
    assert "WebSocket" in obstacles(socket, Places())["connection"]


def test_a_used_connection_is_asked_for_everywhere() -> None:
    reported = row("bedrock/kimi-k2.5", "tool-result")
    factors = [factor for factor in FACTORS if factor.name in ("elsewhere", "other-model", "connection")]
    requests = Requests(reported, beside(reported.target), factors, {})
    for config in product((True, False), repeat=3):
        found = requests.row(config)
        assert found is not None and found.target.reuse_connection is (not config[factors.index(factors[-1])])


def test_the_parts_of_a_factor_that_was_named_are_varied_with_it() -> None:
    reported = row("bedrock/kimi-k2.5", "tool-result")
    names = [factor.name for factor in chosen(reported, beside(reported.target), ["tools"])]
    assert names == ["tools", "tool-result"]
    assert [factor.name for factor in chosen(reported, beside(reported.target), ["tool-result"])] == ["tool-result"]


def test_nothing_to_vary_is_a_sentence() -> None:
    reported = row("gemini", "minimal")
    with pytest.raises(UsageError, match="nothing can be varied"):
        chosen(reported, Places(), [], ["streaming", "http-version", "connection"])


def test_factors_left_out_are_not_varied() -> None:
    reported = row("together", "code-tools")
    names = [factor.name for factor in chosen(reported, beside(reported.target), [], ["elsewhere", "other-model"])]
    assert "tools" in names and not {"elsewhere", "other-model"} & set(names)


def test_the_places_change_the_target_and_keep_the_question() -> None:
    reported = row("bedrock/kimi-k2.5", "tool-result")
    places = beside(reported.target)
    factors = [factor for factor in FACTORS if factor.stage == "place"]
    requests = Requests(reported, places, factors, {})
    asked = {config: requests.row(config) for config in product((True, False), repeat=2)}
    names = {config: found.target.name for config, found in asked.items() if found is not None}
    assert names == {
        (True, True): "bedrock/kimi-k2.5",
        (True, False): "bedrock/kimi-k2.5@control",
        (False, True): "openrouter/moonshotai/kimi-k2.5",
        (False, False): "openrouter/moonshotai/kimi-k2.5@control",
    }
    assert all(found is not None and found.scenario.messages == reported.scenario.messages for found in asked.values())


def test_this_model_elsewhere_is_found_by_its_family_and_only_with_a_key() -> None:
    target = resolve_target(CATALOG, "together")
    env = Environment({"NOVITA_API_KEY": "n", "MOONSHOT_API_KEY": "m"})
    found = places_of(target, CATALOG.targets.values(), lambda other: has_own_key(other, env, Trust()))
    assert found.elsewhere is not None and found.elsewhere.name == "moonshot"
    assert found.other_model is not None and found.other_model.model == target.control_model
    none = places_of(target, CATALOG.targets.values(), lambda other: has_own_key(other, Environment({}), Trust()))
    assert none.elsewhere is None and "no key is set for fireworks, deepinfra" in none.why_not_elsewhere


def test_a_server_on_this_machine_is_not_asked_unless_it_is_named() -> None:
    local = resolve_target(CATALOG, "vllm")
    assert not has_own_key(local, Environment({}), Trust())
    assert check_elsewhere(resolve_target(CATALOG, "together"), local) == local


def test_places_that_are_none_are_refused() -> None:
    kimi = resolve_target(CATALOG, "together")
    with pytest.raises(UsageError, match="is another model"):
        check_elsewhere(kimi, resolve_target(CATALOG, "groq"))
    with pytest.raises(UsageError, match="no other provider"):
        check_elsewhere(kimi, replace(kimi, name="mine"))
    with pytest.raises(UsageError, match="is not at together"):
        check_other_model(kimi, resolve_target(CATALOG, "groq"))
    with pytest.raises(UsageError, match="the model of together itself"):
        check_other_model(kimi, replace(kimi, name="mine"))


@pytest.mark.parametrize(
    ("target", "base_url", "installed", "why"),
    [
        ("together", None, True, ""),
        ("together", None, False, "pip install 'kmon-tui[http2]'"),
        ("together", "http://127.0.0.1:1/v1", True, "needs https"),
        ("openai-responses", "wss://api.openai.com/v1", True, "WebSocket"),
        ("bedrock/kimi-k2.5", None, True, "HTTP/1.1 only"),
    ],
)
def test_http2_needs_https_and_its_extra(
    target: str, base_url: str | None, installed: bool, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmon.isolate.factors.find_spec", lambda _: object() if installed else None)
    reported = row(target, "minimal")
    reported = Row(replace(reported.target, base_url=base_url or reported.target.base_url), reported.scenario)
    found = obstacles(reported, Places())["http-version"]
    assert why in found and bool(found) is bool(why)


def test_http2_is_not_sent_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmon.isolate.factors.find_spec", lambda _: object())
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert "proxy" in obstacles(row("together", "minimal"), Places())["http-version"]


def test_by_http2_there_is_no_request_to_a_place_that_cannot_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmon.isolate.factors.find_spec", lambda _: object())
    reported = row("openrouter/moonshotai/kimi-k2.5", "minimal")
    places = Places(elsewhere=resolve_target(CATALOG, "bedrock/kimi-k2.5"))
    factors = [factor for factor in FACTORS if factor.name in ("elsewhere", "http-version")]
    requests = Requests(reported, places, factors, {})
    assert requests.row((False, False)) is None
    assert requests.linked() == (((0, False), (1, False)),)
    changed = requests.row((True, False))
    assert changed is not None and changed.target.http2 and changed.scenario.name == "minimal -http1"
