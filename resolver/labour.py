"""Labour: costly work that anybody may ask for (Diffie-Hellman, signatures, proofs), bounded per source and in all.

One per worker for what the native protocol asks, and one for proofs however they come.  The work itself is done in
threads; what is bounded here is how much of it waits, so that a flood is told "busy" at once and cannot make others
wait behind it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from resolver.tries import is_loopback, source_of

MAX_AT_ONCE = 128  # some milliseconds each: nobody waits much longer than a quarter of a second
MAX_PER_SOURCE = 64


class Overworked(Exception):
    """So much is asked for that this must be asked for again later."""

    def __init__(self) -> None:
        super().__init__("Too many requests that are costly to answer; try again")


class Labour:
    """Counts the work that is under way."""

    def __init__(self, *, at_once: int = MAX_AT_ONCE, per_source: int = MAX_PER_SOURCE) -> None:
        self._at_once = at_once
        self._per_source = per_source
        self._under_way: dict[str, int] = {}
        self._total = 0

    @contextmanager
    def share(self, source: str) -> Iterator[None]:
        """Do one piece of work for a source within this block.  Raises Overworked."""
        mine = self._under_way.get(source, 0)
        if self._total >= self._at_once or mine >= self._per_source:
            raise Overworked
        self._total += 1
        self._under_way[source] = mine + 1
        try:
            yield
        finally:
            self._total -= 1
            left = self._under_way[source] - 1
            if left:
                self._under_way[source] = left
            else:
                del self._under_way[source]


def payer_of(address: str, *, is_datagram: bool = False) -> str:
    """Return who is charged for what is costly: the customer network that asks.

    All datagrams are one, since their addresses may be forged; so is this machine, which has millions of addresses.
    """
    if is_datagram:
        return "datagrams"
    return "loopback" if is_loopback(address) else source_of(address)
