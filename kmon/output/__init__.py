"""What commands without a screen print: lines, JSON, tables and verdicts."""
