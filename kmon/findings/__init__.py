"""Names of faults: what the text, the silences, the tools and the usage of one attempt say about it."""
