"""Promises about aiming: what a name means, and what is said when it means nothing."""

import pytest

from kmon.catalog.load import load_catalog
from kmon.catalog.resolve import custom_target, resolve_target
from kmon.dialects.registry import names
from kmon.errors import UsageError

CATALOG = load_catalog()


def test_a_preset_is_its_default_model() -> None:
    target = resolve_target(CATALOG, "together")
    assert target.label == "together/moonshotai/Kimi-K2.6"


def test_the_rest_after_the_provider_is_the_model_slashes_and_all() -> None:
    target = resolve_target(CATALOG, "together/moonshotai/Kimi-K3")
    assert (target.name, target.provider, target.model) == (
        "together/moonshotai/Kimi-K3", "together", "moonshotai/Kimi-K3",
    )  # fmt: skip
    assert target.base_url == CATALOG.targets["together"].base_url
    assert target.key_env == ("TOGETHER_API_KEY",)


def test_the_control_model_is_a_target_of_its_own() -> None:
    target = resolve_target(CATALOG, "fireworks@control")
    assert (target.name, target.model) == ("fireworks@control", "accounts/fireworks/models/gpt-oss-120b")


def test_a_target_without_control_model_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="'kimi-coding' has no control model; aim with kimi-coding/MODEL"):
        resolve_target(CATALOG, "kimi-coding@control")


def test_an_unknown_target_is_answered_with_the_nearest_and_the_list() -> None:
    with pytest.raises(UsageError, match=r"there is no target 'togther'; did you mean together.*'kmon targets'"):
        resolve_target(CATALOG, "togther")
    with pytest.raises(UsageError, match="there is no target 'zzz'; run 'kmon targets' for the list"):
        resolve_target(CATALOG, "zzz/some-model")


@pytest.mark.parametrize("text", ["together/", "together/two words", "together/\x1b[31m", "", "/", "@control"])
def test_half_a_target_is_refused_in_one_printable_line(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        resolve_target(CATALOG, text)
    assert str(refused.value).isprintable()


def test_any_endpoint_can_be_aimed_at() -> None:
    target = custom_target("http://127.0.0.1:8000/v1/", "some/model", "chat", "MY_KEY")
    assert (target.name, target.label) == ("127.0.0.1:8000", "127.0.0.1:8000/some/model")
    assert (target.base_url, target.key_env) == ("http://127.0.0.1:8000/v1", ("MY_KEY",))


def test_an_endpoint_needs_no_key_variable() -> None:
    assert custom_target("http://[::1]:9/v1", "m").key_env == ()
    assert custom_target("http://[::1]:9/v1", "m").name == "[::1]:9"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("api.example.com/v1", "must begin with http"),
        ("ftp://example.com", "must begin with http"),
        ("file:///etc/passwd", "must begin with http"),
        ("http://", "no usable host"),
        ("http://exa mple.com/v1", "no usable host"),
        ("http://example.com:port/v1", "is not a URL"),
        ("http://example.com:99999/v1", "is not a URL"),
        ("http://[::1/v1", "is not a URL"),
        ("http://example.com/v1?key=s3cr3t", "must end with its path"),
        ("http://example.com/v 1", "spaces or characters"),
        ("http://example.com/\x1b[2J", "spaces or characters"),
        ("https://user:s3cr3t@example.com/v1", "credentials inside"),
        ("https://s3cr3t@example.com/v1", "credentials inside"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(url: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as refused:
        custom_target(url, "m")
    assert "s3cr3t" not in str(refused.value)
    assert str(refused.value).startswith("--base-url ")


@pytest.mark.parametrize("pasted", ["sk-s3cr3t", "gsk_s3cr3t", "my key", "", "KEY=s3cr3t"])
def test_a_key_pasted_where_its_variable_belongs_is_refused_without_repeating_it(pasted: str) -> None:
    with pytest.raises(UsageError, match="never the key itself") as refused:
        custom_target("http://localhost/v1", "m", "chat", pasted)
    assert "s3cr3t" not in str(refused.value)


def test_an_unknown_dialect_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=rf"there is no dialect 'grpc'; use one of {', '.join(names())}\Z"):
        custom_target("http://localhost/v1", "m", "grpc")


def test_an_empty_model_is_refused() -> None:
    with pytest.raises(UsageError, match="--model: the model id is empty"):
        custom_target("http://localhost/v1", "")
