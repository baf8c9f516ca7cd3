"""Freshness: what one worker knows of changes, so that it never gives an older answer after a newer one.

Every record that is read carries the serial of its snapshot.  Serials are handed out in commit order, so a record read
at serial S is true for all changes up to S, and too old exactly when its key has a change after S.  The change feed
tells the newest changes; they are kept for a window.  Laws:

1. every change after `window_start` and up to `seen` is in the window;
2. an answer whose read serial lies below `floor(key)` is thrown away and read again, and so is one read before
   `window_start`: changes that it missed may be forgotten already;
3. an answer may be ahead of the feed (read after a change that it has not told yet); then nothing older follows it.
"""

from collections.abc import Iterable

WINDOW_KEYS = 200_000  # per generation; about 30 MB when full


class Freshness:
    """The window of recent changes of one worker; the feed task and what reads records write it."""

    def __init__(self, window_keys: int = WINDOW_KEYS) -> None:
        self.seen = 0
        self.window_start = 0
        self.life = 0  # counts the restarts: what was read in another life may not be kept
        self._limit = window_keys
        self._young: dict[bytes, int] = {}  # both generations: the key that changed last is last
        self._old: dict[bytes, int] = {}
        self._young_start = 0
        self._ahead: dict[bytes, int] = {}  # what was given before the feed came so far
        self._ahead_of_all = 0  # the floor of every key, when those were too many

    def floor(self, key: bytes) -> int:
        """Return the serial that an answer for this key must have been read at, or later."""
        known = self._young.get(key) or self._old.get(key, 0)
        if self._ahead or self._ahead_of_all:
            return max(known, self._ahead.get(key, 0), self._ahead_of_all)
        return known

    @property
    def newest(self) -> int:
        """The newest change that is known of, be it ahead of the feed."""
        return max(self.seen, self._ahead_of_all, max(self._ahead.values(), default=0))

    def learn(self, upto: int, changes: Iterable[tuple[int, bytes]]) -> None:
        """Take in the changes after `seen` and up to serial `upto`, in order."""
        young = self._young
        for serial, key in changes:
            young.pop(key, None)
            young[key] = serial
        self.seen = upto
        self._catch_up(upto)
        if len(young) > self._limit:
            self._old, self._young = young, {}
            self.window_start, self._young_start = self._young_start, upto

    def given(self, key: bytes, serial: int) -> None:
        """Note that an answer read at this serial is given out: nothing older may follow (law 3)."""
        if serial <= self.seen or serial <= self.floor(key):
            return
        self._ahead[key] = serial
        if len(self._ahead) > self._limit:
            self._ahead_of_all = max(self._ahead.values())
            self._ahead.clear()

    def given_any(self, serial: int) -> None:
        """Note that a change with this serial is known elsewhere, of whatever key: nothing older may follow (law 3)."""
        if serial > self.seen:
            self._ahead_of_all = max(self._ahead_of_all, serial)

    def restart(self, serial: int) -> None:
        """Forget all: nothing read before this serial may be trusted without asking the truth."""
        self._young, self._old = {}, {}
        self._ahead, self._ahead_of_all = {}, 0
        self.life += 1
        self.seen = self.window_start = self._young_start = serial

    def changed_after(self, serial: int) -> list[bytes]:
        """Return the keys changed after a serial that lies in the window, the last change first."""
        found: list[bytes] = []
        for generation in (self._young, self._old):
            for key, changed in reversed(generation.items()):
                if changed <= serial:
                    return found
                found.append(key)
        return found

    def _catch_up(self, upto: int) -> None:
        """The feed has come this far: its own changes say what the answers that were ahead said."""
        if self._ahead:
            self._ahead = {key: serial for key, serial in self._ahead.items() if serial > upto}
        if self._ahead_of_all <= upto:
            self._ahead_of_all = 0
