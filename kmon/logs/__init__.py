"""The log file of kmon and the form of its records."""
