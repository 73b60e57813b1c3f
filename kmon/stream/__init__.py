"""What one run says: events, three clocks, state, and the view that is folded from them."""
