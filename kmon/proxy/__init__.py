"""kmon between a program and its provider: relay, exchange, tunnel, host."""
