"""Challenges: requests that were told "prove who you are" (402), and wait for the proof (opcode 200).

A proof answers the nonce and the digest of the request itself, so the request is kept, and carried out when the proof
is right.  Laws: a challenge can be answered once; after CHALLENGE_SECONDS the answer is late.
"""

from dataclasses import dataclass

from resolver.sessions.shelf import Bounds, Shelf
from resolver.wire import Message

CHALLENGE_SECONDS = 60.0
_REMEMBERED_SECONDS = 300.0  # so long a late answer is called late, and not unknown

# Requests that anybody makes us keep.  A source that asks for more loses his own; sources of datagrams may be forged,
# so those share one half of the room and can never push out what came over connections.
_BOUNDS = Bounds(8_192, 32 * 1024 * 1024, 1_024, 8 * 1024 * 1024)
_OVERHEAD_BYTES = 1_024  # the objects around the bytes of a request


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that waits for the proof of who makes it; `challenge` is what the proof must answer (nonce, digest)."""

    request: Message
    challenge: bytes
    made_at: float
    source: str

    def is_late(self, now: float) -> bool:
        """True when an answer that comes now is too late; seconds of one clock that does not go back."""
        return now - self.made_at > CHALLENGE_SECONDS

    @property
    def size(self) -> int:
        """Roughly what is kept, in bytes."""
        return len(self.request.body) + len(self.request.credential) + _OVERHEAD_BYTES


class Challenges:
    """The pending challenges of one worker, by the session id that names each."""

    def __init__(self, bounds: Bounds = _BOUNDS) -> None:
        """`bounds` are those of what came over connections, and again of what came in datagrams."""
        self._of_connections: Shelf[Pending] = Shelf(bounds)
        self._of_datagrams: Shelf[Pending] = Shelf(bounds)

    def __contains__(self, session_id: int) -> bool:
        return session_id in self._of_connections or session_id in self._of_datagrams

    def __len__(self) -> int:
        return len(self._of_connections) + len(self._of_datagrams)

    @property
    def size(self) -> int:
        """Roughly what is kept, in bytes."""
        return self._of_connections.size + self._of_datagrams.size

    def put(self, session_id: int, pending: Pending, *, is_datagram: bool) -> bool:
        """Keep a challenge; a session has one at a time, its newest.  False when it is too large to be kept."""
        self._forget(pending.made_at)
        self.take(session_id)
        shelf = self._of_datagrams if is_datagram else self._of_connections
        return shelf.put(session_id, pending, pending.source, pending.size)

    def get(self, session_id: int) -> Pending | None:
        """Return a challenge, which stays."""
        return self._of_connections.get(session_id) or self._of_datagrams.get(session_id)

    def take(self, session_id: int) -> Pending | None:
        """Return a challenge, which cannot be answered again."""
        return self._of_connections.take(session_id) or self._of_datagrams.take(session_id)

    def _forget(self, now: float) -> None:
        for shelf in (self._of_connections, self._of_datagrams):
            while (oldest := shelf.oldest()) and now - oldest[1].made_at > _REMEMBERED_SECONDS:
                shelf.take(oldest[0])
