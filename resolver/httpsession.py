"""HTTP sessions: challenges that need no memory, and sessions in which somebody has been proven to ask.

A session's id is 16 random bytes, the time until which it is a challenge, and a tag over both; its nonce is derived
from it.  So any worker of any machine with the same sealing key can check an answer to it.  When it is answered rightly
it becomes a row of the table of tokens, by its hash, and from then on it stands for the caller: until it is ended, has
not been used for `session_seconds`, or is a day old.  It ends as well when the key that proved it is changed: the row
holds a mark of that key.
"""

from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest, digest
from typing import NamedTuple, Protocol

from resolver.authentication import Authenticator, token_digest
from resolver.registrar import Caller

CHALLENGE_SECONDS = 300  # in which it must be answered
NONCE_BYTES = 16
TOUCH_SECONDS = 60  # a session in use is written down no more often

_RANDOM_BYTES, _TIME_BYTES, _TAG_BYTES = 16, 5, 16
_ID_BYTES = _RANDOM_BYTES + _TIME_BYTES + _TAG_BYTES


@dataclass(frozen=True, slots=True)
class Session:
    """A live session: whose, a mark of the key that proved it, and how many seconds ago its use was written down."""

    handle: bytes
    index: int
    key_mark: str
    unwritten_seconds: float = 0.0

    def is_of(self, caller: Caller, key_mark: str) -> bool:
        """True when it stands for this caller and this key."""
        return (self.handle, self.index, self.key_mark) == (caller.handle, caller.index, key_mark)


class SessionStore(Protocol):
    """Where sessions are kept, by the SHA-256 of their id.  Each method raises SourceUnavailable."""

    async def find_session(self, digest: bytes, session_seconds: int) -> Session | None:
        """Return a session that is neither ended nor past its time."""
        ...

    async def open_session(self, digest: bytes, session: Session, session_seconds: int) -> bool:
        """Keep a session; False when one of this id was ended before."""
        ...

    async def touch_session(self, digest: bytes, session_seconds: int) -> None:
        """Write down that the session was used now."""
        ...

    async def close_session(self, digest: bytes) -> None:
        """End a session for good; nothing is written when there is none, or strangers could fill the table."""
        ...


class Challenge(NamedTuple):
    """What a client is given to prove itself: the session's id, and the nonce in base64."""

    session: str
    nonce: str


class SessionEnded(Exception):
    """There is no such session any more, or it never was one of ours."""


class HttpSessions:
    """Challenges and sessions over HTTP."""

    def __init__(
        self,
        authenticator: Authenticator,
        store: SessionStore,
        key: bytes,
        clock: Callable[[], float],
        randomness: Callable[[int], bytes],
        *,
        session_seconds: int,
    ) -> None:
        """`key` is a secret that all workers have; `clock` gives epoch seconds, `randomness` so many random bytes."""
        self._authenticator = authenticator
        self._store = store
        self._key = key
        self._clock = clock
        self._randomness = randomness
        self._session_seconds = session_seconds

    def challenge(self) -> Challenge:
        """Make a new challenge; nothing is kept of it."""
        until = int(self._clock()) + CHALLENGE_SECONDS
        body = self._randomness(_RANDOM_BYTES) + until.to_bytes(_TIME_BYTES, "big")
        return self.challenge_of(_spell(body + self._tag(body)))

    def challenge_of(self, session: str) -> Challenge:
        """Return the challenge with this id.  Raises SessionEnded when it is none of ours."""
        self._until(session)
        return Challenge(session, b64encode(self._nonce(session)).decode())

    async def nonce(self, session: str) -> bytes:
        """Return the nonce to which an answer may be given now: of a new challenge, or of a session that lives.

        Raises SessionEnded.
        """
        if self._until(session) < self._clock() and await self._find(session) is None:
            raise SessionEnded
        return self._nonce(session)

    async def open(self, session: str, caller: Caller) -> None:
        """From now on the session stands for this caller.  Raises SessionEnded when it was ended before."""
        mark = await self._mark(caller.handle, caller.index)
        known = await self._find(session)
        if known and known.is_of(caller, mark):
            return
        opened = Session(caller.handle, caller.index, mark)
        hashed, seconds = token_digest(session), self._session_seconds
        if not mark or not await self._store.open_session(hashed, opened, seconds):
            raise SessionEnded

    async def caller(self, session: str) -> Caller | None:
        """Return whom the session stands for; None while nobody has proven anything in it.  Raises SessionEnded."""
        until = self._until(session)
        found = await self._find(session)
        if found is None:
            if until < self._clock():
                raise SessionEnded
            return None
        if not compare_digest(found.key_mark, await self._mark(found.handle, found.index)):
            raise SessionEnded
        return Caller(found.handle, found.index, "session")

    async def close(self, session: str) -> None:
        """End the session.  Raises SessionEnded when it is none of ours."""
        self._until(session)
        await self._store.close_session(token_digest(session))

    async def _find(self, session: str) -> Session | None:
        hashed = token_digest(session)
        found = await self._store.find_session(hashed, self._session_seconds)
        if found and found.unwritten_seconds >= TOUCH_SECONDS:
            await self._store.touch_session(hashed, self._session_seconds)
        return found

    async def _mark(self, handle: bytes, index: int) -> str:
        return await self._authenticator.key_mark(handle, index, self._key)

    def _until(self, session: str) -> int:
        """Return until when this is a challenge, in epoch seconds.  Raises SessionEnded when its tag is not ours."""
        try:
            data = b64decode(session + "=" * (-len(session) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise SessionEnded from None
        body, tag = data[:-_TAG_BYTES], data[-_TAG_BYTES:]
        is_ours = len(data) == _ID_BYTES and compare_digest(tag, self._tag(body))
        if not is_ours or _spell(data) != session:  # one spelling each: it is known by its hash
            raise SessionEnded
        return int.from_bytes(body[_RANDOM_BYTES:], "big")

    def _tag(self, body: bytes) -> bytes:
        return digest(self._key, b"session\0" + body, "sha256")[:_TAG_BYTES]

    def _nonce(self, session: str) -> bytes:
        return digest(self._key, b"nonce\0" + session.encode(), "sha256")[:NONCE_BYTES]


def _spell(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
