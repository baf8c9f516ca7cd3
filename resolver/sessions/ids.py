"""Session ids: 32 bits, of which the first 8 are the slot of the worker that made them, and 24 are random.

An id is never 0, which means none.  The Chinese clients make up their own (10001 and up): such an id seems to be of
slot 0, where nobody knows it; an unknown id is no session, and is echoed (handle-protocol §15.2).
"""

from collections.abc import Callable

MAX_SLOTS = 256

_RANDOM_BYTES = 3
_RANDOM_BITS = 8 * _RANDOM_BYTES


def slot_of(session_id: int) -> int | None:
    """Return the slot of the worker that made an id; None for no id."""
    return session_id >> _RANDOM_BITS if session_id else None


class Ids:
    """Makes the ids of one worker."""

    def __init__(self, slot: int, random_bytes: Callable[[int], bytes]) -> None:
        """Raises ValueError for a slot that does not fit an id."""
        if not 0 <= slot < MAX_SLOTS:
            raise ValueError(f"slot {slot} does not fit a session id; there are {MAX_SLOTS}")
        self._first = slot << _RANDOM_BITS
        self._random_bytes = random_bytes

    def new(self, is_taken: Callable[[int], bool]) -> int:
        """Return an id that is free; the caller keeps far fewer than there are."""
        drawn = int.from_bytes(self._random_bytes(_RANDOM_BYTES))
        for step in range(1 << _RANDOM_BITS):
            number = self._first | (drawn + step) % (1 << _RANDOM_BITS)
            if number and not is_taken(number):
                return number
        raise ValueError("all session ids are taken")
