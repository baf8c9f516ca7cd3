"""Ready answers: the exact bytes of a request -> the finished reply, after permissions, homing and profile.

Most answers of a busy node come from here, so entries are plain tuples of bytes and integers (the garbage collector
leaves such tuples alone) and a table is two dicts, young and old, that approximate least-recently-used.  Laws:

1. an entry is made only from a reply as the ordinary way gives it, for the stored spelling (replies echo the spelling);
2. `drop(key)` removes every entry of a changed record, and a reply read before that change is not let in; nor is one
   that was decided before everything, or all below a prefix, was dropped (`era`);
3. what a front end does not fully understand has no entry, and goes the ordinary way;
4. whoever keeps the record itself is told of the first reply made from it (`on_first`), and may let it go: most records
   are asked for in one way only, and then nobody needs them twice.
"""

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from resolver.freshness import Freshness
from resolver.recorder import Prefixes

_MAX_SHARED = 16_384
NS = 1_000_000_000
_MAX_REQUESTS_PER_KEY = (
    32  # spellings of what can be asked of one record are without number; most are asked once
)
_OVERHEAD_BYTES = (
    460  # dict slots here and in the index, tuple, headers of the objects, the subject
)

Ready = tuple[int, int, bool, bytes, bytes, bytes, int, bytes, Any]
"""One finished reply: expires_ns, cell, public_only, head, tail, key, serial, lengths, subject.

`expires_ns` is on the clock of `time.perf_counter_ns`; `cell` is where it is counted; `public_only` says that the
record has restricted values, so that only a request for public values may have this reply; `head` and `tail` are its
bytes; `key` and `serial` those of the record; `lengths` the request's own (native ones say theirs twice); `subject`
is what `Recorder.subject` makes of the key.
"""

_Index = dict[bytes, bytes | tuple[bytes, ...]]
"""Canonical key -> the requests that have an entry, but for the key itself; one is kept bare, as with most."""


class HotTable:
    """Ready replies by request bytes, bounded by number and by size, with an index by canonical key."""

    def __init__(self, freshness: Freshness, *, max_entries: int, max_bytes: int) -> None:
        """The bounds hold for both generations together; `max_entries` 0 keeps nothing."""
        self.subject_of: Callable[[bytes, Prefixes], Any] = (
            _nothing  # that of the worker's recorder
        )
        self.on_first: Callable[[bytes], object] = _nobody
        self.era = 0  # counts what was dropped without looking at serials
        self._freshness = freshness
        self._max_entries = max_entries // 2
        self.keeps = self._max_entries > 0  # False: whatever is put is let go at once
        self._max_bytes = max_bytes // 2
        self.young: dict[bytes, Ready] = {}
        self._old: dict[bytes, Ready] = {}
        self._young_index: _Index = {}
        self._old_index: _Index = {}
        self._young_bytes = 0
        self._old_bytes = 0
        self._shared: dict[Any, Any] = {}

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

    def put(self, request: bytes, ready: Ready, era: int) -> None:
        """Keep a reply, unless its record has changed since it was read; `era` is that of when it was asked for."""
        key = ready[5]
        if self._max_entries and era == self.era and ready[6] >= self._freshness.floor(key):
            is_first = not self._replies(request, key)
            self._insert(request, self._thrifty(ready))
            if is_first:
                self.on_first(key)

    def _replies(self, request: bytes, key: bytes) -> bool:
        """True when a reply made from this record is kept already, and it is not that of this request, out of date."""
        known = self.young.get(request) or self._old.get(request)
        if known is not None:
            return known[0] > perf_counter_ns()
        places = (self.young, self._old, self._young_index, self._old_index)
        return any(key in place for place in places)

    def _thrifty(self, ready: Ready) -> Ready:
        """Return the same entry with one object for what many have alike: less memory, and it stays in the cache."""
        expires_ns, cell, public_only, head, tail, key, serial, lengths, subject = ready
        if len(self._shared) >= _MAX_SHARED:
            self._shared.clear()
        share = self._shared.setdefault
        second = expires_ns - expires_ns % NS  # a moment early rather than late
        return (
            share(second, second),
            cell,
            public_only,
            share(head, head),
            tail,
            key,
            share(serial, serial),
            share(lengths, lengths),
            subject,
        )

    def drop(self, key: bytes) -> bool:
        """Forget every reply made from this record; true when there was one."""
        young, old = (
            (key, *_requests(self._young_index.pop(key, ()))),
            (key, *_requests(self._old_index.pop(key, ()))),
        )
        known = len(self)
        for request in young:
            if (ready := self.young.pop(request, None)) is not None:
                self._young_bytes -= _size(request, ready)
        for request in old:
            if (ready := self._old.pop(request, None)) is not None:
                self._old_bytes -= _size(request, ready)
        return len(self) < known

    def drop_below(self, is_below: Callable[[bytes], bool]) -> None:
        """Forget every reply whose canonical key passes the test; looks at all entries."""
        self.era += 1
        entries = (*self.young.values(), *self._old.values())
        keys = {ready[5] for ready in entries if is_below(ready[5])}
        for key in keys:
            self.drop(key)

    def clear(self) -> None:
        """Forget everything."""
        self.era += 1
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
        requests = _requests(self._young_index.get(ready[5], ()))
        if request == ready[5] or request in requests:
            return
        if len(requests) >= _MAX_REQUESTS_PER_KEY:
            oldest, *requests_left = requests
            if (gone := self.young.pop(oldest, None)) is not None:
                self._young_bytes -= _size(oldest, gone)
            requests = tuple(requests_left)
        self._young_index[ready[5]] = (*requests, request) if requests else request


def _nothing(_key: bytes, _prefixes: Prefixes) -> None:
    """Nobody records."""


def _nobody(_key: bytes) -> None:
    """Nobody keeps records."""


def _requests(indexed: bytes | tuple[bytes, ...]) -> tuple[bytes, ...]:
    return (indexed,) if isinstance(indexed, bytes) else indexed


def _size(request: bytes, ready: Ready) -> int:
    return len(request) + len(ready[3]) + len(ready[4]) + len(ready[5]) + _OVERHEAD_BYTES
