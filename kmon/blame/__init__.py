"""Whose silence it is: this machine, its network, or the far side."""
