"""The verifier: what an auditor runs, on files alone, with keys that he has from somebody else than the node.

It needs the standard library and `cryptography`.  docs/reference/audit.md states every check, so that somebody else can
write a second one.  Nothing in an evidence directory is believed before a rule has looked at it.
"""
