"""What runs in which process: one supervisor, a worker for each slot, one keeper, and the embedded servers."""
