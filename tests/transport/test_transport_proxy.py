"""Promises about proxies: honoured, shown without a password, and refused in a sentence when they cannot be used."""

from __future__ import annotations

import pytest

from kmon.errors import UsageError
from kmon.transport.proxy import proxy_for, shown


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert proxy_for("https://api.example/v1") == "http://proxy.example:3128"
    assert proxy_for("https://inside.example/v1") is None
    assert proxy_for("http://api.example/v1") is None


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:notaport", "ftp://x:1", "http://[::1", "http://", "socks5://h:1"])
def test_what_cannot_be_used_is_a_sentence_and_not_a_crash(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(UsageError, match="unset it"):
        proxy_for("http://api.example/v1")


def test_a_password_is_never_shown() -> None:
    assert shown("http://user:hunter2@proxy.example:3128") == "http://proxy.example:3128"
    assert shown(None) is None
