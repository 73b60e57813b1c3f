"""One attempt, over HTTP or a WebSocket: sent, recorded, ended by a limit where one is set, and judged."""
