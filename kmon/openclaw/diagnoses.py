"""On which side a gateway's run can hang, as data: what shows it, who it is, what to do."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct

from kmon.catalog.toml_source import parse_toml


class DiagnosisText(Struct, frozen=True, forbid_unknown_fields=True):
    """What is known about one diagnosis."""

    seen: str
    means: str
    do: str
    needs: str


@cache
def diagnoses() -> dict[str, DiagnosisText]:
    """Every diagnosis by its name, in the order of the file."""
    source = parse_toml(Path("diagnoses.toml"), files("kmon.openclaw").joinpath("diagnoses.toml").read_text("utf-8"))
    found = {}
    for name, table in source.table["diagnoses"].items():
        try:
            found[name] = msgspec.convert(table, DiagnosisText)
        except msgspec.ValidationError as error:
            raise source.invalid(["diagnoses", name], error, DiagnosisText.__struct_fields__) from None
    return found
