"""Journal: what happened of late, for the page: the newest events, and how many changes came in each second."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

MAX_EVENTS = 200
SECONDS = 60  # that the rate is shown of


class Happening(NamedTuple):
    """Something that the page tells: `kind` is a word that it knows, `text` a detail without personal data."""

    number: int
    at: float
    kind: str
    text: str
    is_fault: bool


class Journal:
    """The newest events, in memory."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._events: deque[Happening] = deque(maxlen=MAX_EVENTS)
        self._count = 0
        self._seconds: deque[tuple[int, int]] = deque(maxlen=SECONDS)

    def note(self, kind: str, text: str = "", *, is_fault: bool = False) -> None:
        """Note that something happened."""
        self._count += 1
        self._events.append(Happening(self._count, self._clock(), kind, text, is_fault))

    def took(self, changes: int) -> None:
        """Note that so many changes or rows were stored."""
        second = int(self._clock())
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = (second, self._seconds[-1][1] + changes)
        else:
            self._seconds.append((second, changes))

    def newest(self, most: int = 40) -> list[Happening]:
        """Return the newest events, the newest first."""
        return list(reversed(self._events))[:most]

    def rates(self) -> list[int]:
        """Return how many changes were stored in each of the last SECONDS seconds, the present one last."""
        now, found = int(self._clock()), dict(self._seconds)
        return [found.get(second, 0) for second in range(now - SECONDS + 1, now + 1)]
