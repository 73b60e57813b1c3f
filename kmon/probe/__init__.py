"""One attempt: its events, its clocks, its state, what broke."""
