"""kmon against the real gateway, on loopback, over kmon's own simulator: opt-in, since it downloads about a gigabyte.

One command, from a checkout with the test environment; it installs what it needs from npm into a cache directory,
runs each release on loopback, and stops what it started::

    KMON_REAL_GATEWAY=2026.9.6,2026.2.17 .venv/bin/pytest tests/real_gateway -s

Without the variable every test here is skipped.
"""
