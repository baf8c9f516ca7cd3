"""Source: the address that the generators of this process ask from; of the system's choice unless said.

An announced campaign is told by its networks, so its questions have to come from there: on one machine, from an address
of 127.0.0.0/8 that nobody else uses.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_address: ContextVar[str] = ContextVar("source", default="")


@contextmanager
def asking_from(address: str) -> Iterator[None]:
    """Have sockets that are made in this block ask from this address of ours."""
    token = _address.set(address)
    try:
        yield
    finally:
        _address.reset(token)


def source_address() -> tuple[str, int] | None:
    """Return what `socket.create_connection` takes as its source."""
    found = _address.get()
    return (found, 0) if found else None


def bind_source(owner: socket.socket) -> None:
    """Bind a socket that is not connected yet.  Raises OSError when the address is not ours."""
    found = source_address()
    if found is not None:
        owner.bind(found)
