"""Freshness: what one worker knows of changes, so that it never gives an older answer after a newer one.

Every record that is read carries the serial of its snapshot.  Serials are handed out in commit order, so a record read
at serial S is true for all changes up to S, and too old exactly when its key has a change after S.  The change feed
tells the newest changes; they are kept for a window.  Laws:

1. every change after `window_start` and up to `seen` is in the window;
2. an answer whose read serial lies below `floor(key)` is thrown away and read again.
"""

from collections.abc import Iterable

WINDOW_KEYS = 200_000  # per generation; about 30 MB when full


class Freshness:
    """The window of recent changes of one worker; the feed task alone writes it."""

    def __init__(self, window_keys: int = WINDOW_KEYS) -> None:
        self.seen = 0
        self.window_start = 0
        self.life = 0  # counts the restarts: what was read in another life may not be kept
        self._limit = window_keys
        self._young: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}
        self._young_start = 0

    def floor(self, key: bytes) -> int:
        """Return the serial of the newest known change of this key, 0 when it has none in the window."""
        return self._young.get(key) or self._old.get(key, 0)

    def learn(self, upto: int, changes: Iterable[tuple[int, bytes]]) -> None:
        """Take in the changes after `seen` and up to serial `upto`, in order."""
        for serial, key in changes:
            self._young[key] = serial
        self.seen = upto
        if len(self._young) > self._limit:
            self._old, self._young = self._young, {}
            self.window_start, self._young_start = self._young_start, upto

    def restart(self, serial: int) -> None:
        """Forget all: nothing read before this serial may be trusted without asking the truth."""
        self._young, self._old = {}, {}
        self.life += 1
        self.seen = self.window_start = self._young_start = serial

    def changed_after(self, serial: int) -> list[bytes]:
        """Return the keys changed after a serial that lies in the window."""
        return [
            key
            for generation in (self._old, self._young)
            for key, changed in generation.items()
            if changed > serial
        ]
