"""A loopback reverse proxy that changes nothing but the Host header, and lets somebody watch what passes."""
