"""What others (and kmon) wrote down of real exchanges, as one shape: :class:`Interaction`."""

from __future__ import annotations

from kmon.recording.interaction import Interaction, Request
from kmon.recording.load import interactions, load, read

__all__ = ["Interaction", "Request", "interactions", "load", "read"]
