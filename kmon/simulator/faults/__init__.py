"""Faults of the simulator: how each changes a healthy answer."""
