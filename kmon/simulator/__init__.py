"""A loopback provider that speaks the dialects and commits every fault, deterministically by seed."""
