"""A loopback reverse proxy that changes only the Host header, with an observer of each exchange."""
