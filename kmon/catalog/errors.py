"""The exception for bad input, under the name it had before it moved below the dialects (``kmon/errors.py``)."""

from __future__ import annotations

from kmon.errors import UsageError as UsageError
