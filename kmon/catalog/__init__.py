"""Targets, scenarios, keys and signatures, read from TOML files and the environment."""
