"""Settings: their declarations, the origin of each value, and the hosts allowed to each project."""
