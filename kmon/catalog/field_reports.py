"""What the field reports complain of, as data: each complaint with the command that shows it on the simulator."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct

from kmon.catalog.toml_source import parse_toml


class Complaint(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that went wrong. ``shows`` is the signature that ``command`` makes kmon give."""

    says: str
    command: str
    shows: str
    means: str = ""


class FieldReport(Struct, frozen=True, forbid_unknown_fields=True):
    """One report; ``profile`` is the simulator's that behaves as it says."""

    title: str
    profile: str
    fault: tuple[Complaint, ...]


@cache
def field_reports() -> dict[str, FieldReport]:
    """Every report by its name."""
    text = files("kmon.catalog").joinpath("field_reports.toml").read_text("utf-8")
    table = parse_toml(Path("field_reports.toml"), text).table["reports"]
    return msgspec.convert(table, dict[str, FieldReport])
