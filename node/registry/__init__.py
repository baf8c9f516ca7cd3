"""Use cases by noun: one function each, one transaction each."""
