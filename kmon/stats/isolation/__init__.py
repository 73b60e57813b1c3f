"""Which factor of a request explains its failures: a randomised experiment in blocks, and what it proves."""
