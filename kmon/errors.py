"""The exception for bad input, in a module of its own because every folder raises it."""

from __future__ import annotations


class UsageError(Exception):
    """Bad input: exit code 2. The message is one sentence that says what, where and what to do."""
