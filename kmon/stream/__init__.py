"""The events of a race, the three clocks of an attempt, and the views and states folded from them."""
