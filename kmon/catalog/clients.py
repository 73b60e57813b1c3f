"""The environment variables that set the base URL of known client libraries, from ``clients.toml``."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from typing import Literal
from urllib.parse import urlsplit

import msgspec

UrlForm = Literal["as-is", "without-version", "origin"]
_VERSION = re.compile(r"/v\d\w*\Z")


def base_url_variables(base_url: str) -> dict[str, str]:
    """The variables to set, so that a program sends its requests to ``base_url``."""
    text = files("kmon.catalog").joinpath("clients.toml").read_text("utf-8")
    forms = msgspec.convert(tomllib.loads(text)["variables"], dict[str, UrlForm])
    return {name: _url(base_url, form) for name, form in forms.items()}


def _url(base_url: str, form: UrlForm) -> str:
    if form == "without-version":
        return _VERSION.sub("", base_url)
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}" if form == "origin" else base_url
