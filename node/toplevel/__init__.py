"""The top-level node, simulated: the peer that a secondary node is tried against, as a program of its own.

It is the other side of `sync` (changes, snapshots, digests), the registry behind EPP, the witness of the ledger's log,
the top of the resolution tree, and a page that shows all of it live.  It shares no table with the node, keeps what it
acknowledged, and can be told to misbehave.  The real one's interfaces are public in part only;
docs/reference/toplevel.md says what is proven by talking to this program, and what is not.
"""
