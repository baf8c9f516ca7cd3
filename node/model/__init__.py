"""The model (模型): what the node and the national top-level node tell each other about, as values and rules.

Pure: no I/O, no clocks, no randomness.  A value that exists is valid: it is checked when it is made, and what is wrong
with it is a `ModelError` that names the field, the rule and what to do.  The states of a life (`life`) are one table
each; nothing else decides whether a step is legal.

Field names are ours; the Chinese name beside each is that of the published tables (表1 to 表11).  What of it is
public and what is our proposal, docs/reference/model.md says.
"""
