"""One file per subcommand: its flags, its help, what it does. ``kmon.cli`` imports the one that was asked for."""
