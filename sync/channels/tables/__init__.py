"""The tables that are kept equal at the national top-level node."""
