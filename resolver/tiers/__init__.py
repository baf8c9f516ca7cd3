"""Tiers: one Source per file, each holding the next; memory, then Redis, then the store."""
