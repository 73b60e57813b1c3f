"""Habits of providers' streams as data: what would be a fault at one host is usual at another."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from kmon.catalog.toml_source import parse_toml


class Habits(Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of one host in ``habits.toml``, which explains them."""

    end_event: bool = True
    models: tuple[str, ...] = ()


@cache
def habits() -> dict[str, Habits]:
    """All habits by host name."""
    text = files("kmon.catalog").joinpath("habits.toml").read_text("utf-8")
    return msgspec.convert(parse_toml(Path("habits.toml"), text).table, dict[str, Habits])


def sends_end_event(url: str, model: str = "") -> bool:
    """Whether the streams of the host of ``url`` have a terminal event; without a URL the model may tell the host."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if host:
        return habits().get(host, Habits()).end_event
    return all(known.end_event or not model.lower().startswith(known.models) for known in habits().values())
