"""What kmon says outside the screen: lines, JSON, tables."""
