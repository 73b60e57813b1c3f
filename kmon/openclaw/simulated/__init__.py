"""A simulated gateway: the WebSocket protocol of a chat gateway, spoken over real requests to a simulated provider."""
