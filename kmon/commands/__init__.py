"""What the commands that race do, one file per kind. The command line imports them when they are wanted."""
