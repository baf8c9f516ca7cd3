"""The keeper's program.  A package, since a process that it starts does not import what is called `__main__`."""
