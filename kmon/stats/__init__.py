"""What many runs together say: outcomes, statistics, and a verdict with its numbers."""
