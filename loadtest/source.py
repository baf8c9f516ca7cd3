"""Source: the addresses that the generators of this process ask from; of the system's choice unless said.

An announced campaign is told by its networks, so its questions have to come from there: on one machine, from addresses
of 127.0.0.0/8 that nobody else uses.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import cycle

_addresses: ContextVar[Iterator[str] | None] = ContextVar("source", default=None)


@contextmanager
def asking_from(*addresses: str) -> Iterator[None]:
    """Have sockets that are made in this block ask from these addresses of ours, each from the next one."""
    token = _addresses.set(cycle(addresses) if addresses else None)
    try:
        yield
    finally:
        _addresses.reset(token)


def source_address() -> tuple[str, int] | None:
    """Return what `socket.create_connection` takes as its source."""
    found = _addresses.get()
    return None if found is None else (next(found), 0)


def bind_source(owner: socket.socket) -> None:
    """Bind a socket that is not connected yet.  Raises OSError when the address is not ours."""
    found = source_address()
    if found is not None:
        owner.bind(found)
