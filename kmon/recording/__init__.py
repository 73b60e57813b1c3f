"""Reads recordings of HTTP exchanges, in several formats, as :class:`Interaction` values."""

from __future__ import annotations

from kmon.recording.interaction import Interaction, Request
from kmon.recording.load import interactions, load, read

__all__ = ["Interaction", "Request", "interactions", "load", "read"]
