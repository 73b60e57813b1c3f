"""The way to a target, step by step, and what each step shows: names, reach, certificate, endpoint, clock."""
