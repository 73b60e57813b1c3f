"""The gateway's WebSocket dialect, protocol 3 and 4, without I/O: frames, handshake, runs, and what its TUI shows."""
