"""Ready answers: the exact bytes of a request -> the finished reply, after permissions, homing and profile.

Most answers of a busy node come from here, so entries are plain tuples of bytes and integers (the garbage collector
leaves such tuples alone) and a table is two dicts, young and old, that approximate least-recently-used.  Laws:

1. an entry is made only from a reply that went the ordinary way, for the stored spelling (replies echo the spelling);
2. `drop(key)` removes every entry of a changed record, and a reply read before that change is not let in;
3. what a front end does not fully understand has no entry, and goes the ordinary way.
"""

from collections.abc import Callable

from resolver.freshness import Freshness

_OVERHEAD_BYTES = 420  # dict slots here and in the index, tuple, headers of the objects


Ready = tuple[int, int, bool, bytes, bytes, bytes, int]
"""One finished reply: expires_ns, cell, public_only, head, tail, key, serial.

`expires_ns` is on the clock of `time.perf_counter_ns`; `cell` is where it is counted; `public_only` says that the
record has restricted values, so that only a request for public values may have this reply; `head` and `tail` are its
bytes; `key` and `serial` those of the record.
"""


class HotTable:
    """Ready replies by request bytes, bounded by number and by size, with an index by canonical key."""

    def __init__(self, freshness: Freshness, *, max_entries: int, max_bytes: int) -> None:
        """The bounds hold for both generations together; `max_entries` 0 keeps nothing."""
        self._freshness = freshness
        self._max_entries = max_entries // 2
        self._max_bytes = max_bytes // 2
        self.young: dict[bytes, Ready] = {}
        self._old: dict[bytes, Ready] = {}
        self._young_index: dict[bytes, tuple[bytes, ...]] = {}
        self._old_index: dict[bytes, tuple[bytes, ...]] = {}
        self._young_bytes = 0
        self._old_bytes = 0

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    @property
    def size_bytes(self) -> int:
        """Roughly what the entries take, in bytes."""
        return self._young_bytes + self._old_bytes

    def promote(self, request: bytes) -> Ready | None:
        """Find an entry that is not among the young; move it there."""
        ready = self._old.pop(request, None)
        if ready is not None:
            self._old_bytes -= _size(request, ready)
            self._insert(request, ready)
        return ready

    def put(self, request: bytes, ready: Ready) -> None:
        """Keep a reply, unless its record has changed since it was read."""
        if self._max_entries and ready[6] >= self._freshness.floor(ready[5]):
            self._insert(request, ready)

    def drop(self, key: bytes) -> bool:
        """Forget every reply made from this record; true when there was one."""
        young, old = self._young_index.pop(key, ()), self._old_index.pop(key, ())
        for request in young:
            if (ready := self.young.pop(request, None)) is not None:
                self._young_bytes -= _size(request, ready)
        for request in old:
            if (ready := self._old.pop(request, None)) is not None:
                self._old_bytes -= _size(request, ready)
        return bool(young or old)

    def drop_below(self, is_below: Callable[[bytes], bool]) -> None:
        """Forget every reply whose canonical key passes the test; looks at all entries."""
        keys = [key for key in (*self._young_index, *self._old_index) if is_below(key)]
        for key in keys:
            self.drop(key)

    def clear(self) -> None:
        """Forget everything."""
        self.young, self._old = {}, {}
        self._young_index, self._old_index = {}, {}
        self._young_bytes = self._old_bytes = 0

    def _insert(self, request: bytes, ready: Ready) -> None:
        if len(self.young) >= self._max_entries or self._young_bytes >= self._max_bytes:
            self._old, self._old_index, self._old_bytes = (
                self.young,
                self._young_index,
                self._young_bytes,
            )
            self.young, self._young_index, self._young_bytes = {}, {}, 0
        before = self.young.get(request)
        self.young[request] = ready
        self._young_bytes += _size(request, ready) - (_size(request, before) if before else 0)
        requests = self._young_index.get(ready[5], ())
        if request not in requests:
            self._young_index[ready[5]] = (*requests, request)


def _size(request: bytes, ready: Ready) -> int:
    return len(request) + len(ready[3]) + len(ready[4]) + len(ready[5]) + _OVERHEAD_BYTES
