"""Replays: which message numbers of a session were there before (RFC 3652 §3.5: counters must not repeat)."""

REPLAY_WINDOW = 1_024
"""How far behind the highest counter a message may come: threads of one client overtake each other."""


class Replays:
    """The counters that were accepted: the highest, and a bit for each of those just below it."""

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest = -1
        self._seen = 0  # bit n: the counter n below the highest

    def accept(self, counter: int) -> bool:
        """Take a counter in; false when it was there before, or is too old to tell."""
        ahead = counter - self._highest
        if ahead > 0:
            kept = self._seen << ahead if ahead < REPLAY_WINDOW else 0
            self._seen = (kept | 1) & ((1 << REPLAY_WINDOW) - 1)
            self._highest = counter
            return True
        if (
            -ahead >= REPLAY_WINDOW
        ):  # else who leaps far and goes back makes the shift below a huge one
            return False
        bit = 1 << -ahead
        is_new = not self._seen & bit
        self._seen |= bit
        return is_new
