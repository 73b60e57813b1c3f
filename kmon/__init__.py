"""kmon: a terminal live monitor for LLM streams."""

__version__ = "0.1.0"
