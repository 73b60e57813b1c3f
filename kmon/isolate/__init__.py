"""Isolates the factor of a failing request: what can be changed in it, and an experiment that changes it at random."""
