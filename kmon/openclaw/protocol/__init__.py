"""The gateway's WebSocket dialect, protocols 3 and 4, without I/O: frames, handshake, runs, and the client's status."""
