"""Statistics over many runs: the outcome of each, rates, tests, survival times, health, and the verdict of a test."""
