"""A simulated gateway: the WebSocket protocol of a chat gateway, with real requests to a simulated provider."""
