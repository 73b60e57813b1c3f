"""Wire formats without I/O: bytes in, deltas out, and the requests that ask for them."""
