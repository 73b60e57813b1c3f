"""A simulated provider on loopback: it serves the dialects, with every fault, deterministically by seed."""
