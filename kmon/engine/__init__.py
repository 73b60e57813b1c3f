"""Runs a plan: its runs and attempts, the supervisor of all runs, and the process that hosts them."""
