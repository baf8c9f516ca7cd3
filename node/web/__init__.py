"""What is served over HTTP: one file per thing served, `routes` the only table."""
