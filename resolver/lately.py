"""Lately: who has proven to ask within the last half second; whoever writes all the time is not looked up every time.

Laws: of a secret only a keyed digest is kept, under a key that this process drew; nothing counts for longer than
HELD_SECONDS after the database was asked, nor once a change of the record is known that it was proven by; a proof that
was under way then is not kept either.  What is wrong is never kept.

Pure: time comes in, in seconds of any clock that does not go back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from resolver.registrar import Caller

HELD_SECONDS = 0.5
MAX_HELD = 1_024
KEY_BYTES = 32


@dataclass(slots=True, eq=False)
class Held:
    """One proof: of whose key it was, when it was begun, and whom it has proven (None: it is under way)."""

    mark: bytes
    record_key: bytes
    since: float
    caller: Caller | None = None


class Lately:
    """The proofs of one process, the oldest first."""

    def __init__(self, key: bytes, *, max_held: int = MAX_HELD) -> None:
        """`key` is secret and random, KEY_BYTES of it."""
        self._key = key
        self._max_held = max_held
        self._held: dict[bytes, Held] = {}
        self._by_record: dict[bytes, set[bytes]] = {}  # marks by the record that proves them

    def __len__(self) -> int:
        return len(self._held)

    def mark(self, *parts: bytes) -> bytes:
        """Return what is kept of a proof in the place of its parts, which may be secret."""
        whole = b"".join([len(part).to_bytes(4, "big") + part for part in parts])
        return blake2b(whole, digest_size=32, key=self._key).digest()

    def find(self, mark: bytes, now: float) -> Held | None:
        """Return the proof with this mark, if it still counts."""
        held = self._held.get(mark)
        if held is None or held.caller is None or now - held.since > HELD_SECONDS:
            return None
        return held

    def begin(self, mark: bytes, record_key: bytes, now: float) -> Held:
        """Say that the record is about to be read, which the rest of the proof goes by."""
        self._drop(mark)
        held = self._held[mark] = Held(mark, record_key, now)
        self._by_record.setdefault(record_key, set()).add(mark)
        while len(self._held) > self._max_held:
            self._drop(next(iter(self._held)))
        return held

    def keep(self, held: Held, caller: Caller) -> None:
        """Keep what was proven, unless its record has changed in the meantime."""
        if self._held.get(held.mark) is held:
            held.caller = caller

    def drop(self, held: Held) -> None:
        """Keep nothing of a proof that has failed."""
        if self._held.get(held.mark) is held:
            self._drop(held.mark)

    def forget(self, record_keys: Iterable[bytes]) -> None:
        """Take in that these records have changed."""
        for key in record_keys:
            for mark in self._by_record.pop(key, ()):
                del self._held[mark]

    def clear(self) -> None:
        """Take in that anything may have changed."""
        self._held.clear()
        self._by_record.clear()

    def _drop(self, mark: bytes) -> None:
        held = self._held.pop(mark, None)
        if held is None:
            return
        marks = self._by_record[held.record_key]
        marks.discard(mark)
        if not marks:
            del self._by_record[held.record_key]
