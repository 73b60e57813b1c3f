"""Settings and where each came from: defaults < kmon.toml < environment and .env < flags."""

from __future__ import annotations

from kmon.catalog.errors import UsageError

__all__ = ["UsageError"]
