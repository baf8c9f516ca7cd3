"""Shelf: numbered things of many sources, bounded in all and per source; the oldest go first."""

from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Bounds(NamedTuple):
    """How much a shelf holds: things and bytes in all, things and bytes of one source."""

    number: int
    size: int
    number_per_source: int
    size_per_source: int


class _Held(NamedTuple, Generic[T]):
    thing: T
    source: str
    size: int


class Shelf(Generic[T]):
    """Holds things by number, in the order in which they were put or used last."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._held: dict[int, _Held[T]] = {}  # the oldest first
        self._by_source: dict[str, dict[int, int]] = {}  # number -> size, the oldest first
        self._size = 0
        self._size_by_source: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, number: int) -> bool:
        return number in self._held

    @property
    def size(self) -> int:
        """How many bytes are held."""
        return self._size

    def put(self, number: int, thing: T, source: str, size: int) -> bool:
        """Put a thing, in the place of the one with this number if there is one; false when it can never fit.

        Room is made by dropping the oldest things of the same source, then the oldest of all.
        """
        bounds = self._bounds
        if size > bounds.size_per_source or not bounds.number_per_source:
            return False
        self.take(number)
        mine = self._by_source.setdefault(source, {})
        self._held[number] = _Held(thing, source, size)
        mine[number] = size
        self._size += size
        self._size_by_source[source] = self._size_by_source.get(source, 0) + size
        while len(mine) > bounds.number_per_source or (
            self._size_by_source[source] > bounds.size_per_source
        ):
            self.take(next(iter(mine)))
        while len(self._held) > bounds.number or self._size > bounds.size:
            self.take(next(iter(self._held)))
        return True

    def get(self, number: int) -> T | None:
        """Return the thing with this number."""
        held = self._held.get(number)
        return held.thing if held else None

    def take(self, number: int) -> T | None:
        """Return the thing with this number, and hold it no more."""
        held = self._held.pop(number, None)
        if held is None:
            return None
        mine = self._by_source[held.source]
        del mine[number]
        self._size -= held.size
        self._size_by_source[held.source] -= held.size
        if not mine:
            del self._by_source[held.source], self._size_by_source[held.source]
        return held.thing

    def renew(self, number: int) -> None:
        """Make the thing with this number the newest."""
        held = self._held.pop(number, None)
        if held is not None:
            self._held[number] = held
            mine = self._by_source[held.source]
            mine[number] = mine.pop(number)

    def oldest(self) -> tuple[int, T] | None:
        """Return the number of the oldest thing, and the thing."""
        for number, held in self._held.items():
            return number, held.thing
        return None
