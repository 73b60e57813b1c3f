"""What follows a failed attempt: classification, wait, retry or fallback."""
