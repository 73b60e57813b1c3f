"""The options of every command: what may be typed, and what ``--help`` says of it."""
