"""Keys, in any form they may come back in, taken out of text."""
