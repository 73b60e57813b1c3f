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
    finish_reason: bool = True
    models: tuple[str, ...] = ()


@cache
def habits() -> dict[str, Habits]:
    """All habits by host or domain name."""
    text = files("kmon.catalog").joinpath("habits.toml").read_text("utf-8")
    return msgspec.convert(parse_toml(Path("habits.toml"), text).table, dict[str, Habits])


def habits_of(url: str, model: str = "") -> Habits:
    """The habits of the host of ``url``, or of the domain it is in; without a URL the model may tell the host."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host:
        by_model = (known for known in habits().values() if model.lower().startswith(known.models))
        return next(by_model, Habits())
    labels = host.split(".")
    domains = (".".join(labels[at:]) for at in range(len(labels)))
    return next((habits()[domain] for domain in domains if domain in habits()), Habits())
