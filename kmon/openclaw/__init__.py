"""The OpenClaw gateway: protocol, attempt, watch, claim, diagnosis and a simulated gateway."""
