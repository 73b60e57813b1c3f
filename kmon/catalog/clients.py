"""The environment variables by which a program is told its base URL, from ``clients.toml``."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Literal
from urllib.parse import urlsplit

import msgspec

Wants = Literal["as-is", "without-v1", "origin"]


def base_url_variables(base_url: str) -> dict[str, str]:
    """What to set so that a program asks ``base_url``, whichever of the variables it looks at."""
    text = files("kmon.catalog").joinpath("clients.toml").read_text("utf-8")
    wanted = msgspec.convert(tomllib.loads(text)["variables"], dict[str, Wants])
    return {name: _part(base_url, wants) for name, wants in wanted.items()}


def _part(base_url: str, wants: Wants) -> str:
    if wants == "without-v1":
        return base_url.removesuffix("/v1")
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}" if wants == "origin" else base_url
