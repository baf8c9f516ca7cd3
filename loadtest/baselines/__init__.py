"""What the node is measured against, in the same run: the machine's limit, and the ordinary way to write it."""
