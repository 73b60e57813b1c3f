"""Wire formats without I/O: requests to bytes, and bytes of answers to deltas."""
