"""Signatures: the named faults of an attempt, by its content, silences, tool calls and usage."""
