"""What to do after an attempt failed: classify it, wait, try again or fall back."""
