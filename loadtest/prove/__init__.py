"""The proof: a load test that is announced, counted four times, verified offline, and reported under a signature."""
