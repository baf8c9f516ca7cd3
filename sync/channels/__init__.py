"""Upward interfaces, one a file or package: what is said to the national top-level node, and in which words.

Laws: a channel turns values into bytes and bytes into verdicts, and does nothing else; time, randomness and
connections are its caller's.  Each states its cadence.  Channels do not know each other; `cadence` is shared by design.
What is public and what is our own proposal is said at the head of each; where the national documents correct us, one
file changes.
"""
