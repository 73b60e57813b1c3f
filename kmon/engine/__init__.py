"""Many runs: the plan, the supervisor that starts, cancels, retries and nudges them, and where it lives."""
