"""Facts as data: which targets exist, what may be asked of them, and how a user's files change either."""
