"""Quickly: how a named tuple is made where that happens for every question.

`quickly(Stored, (serial, handle, ...))` is `Stored(serial, handle, ...)` at three fifths of its cost: a named tuple's
own constructor is a function of Python's around this one.  No default is filled in, and nothing counts the fields but
the tests that read them.
"""

quickly = tuple.__new__
