"""Sessions: a key agreed on by Diffie-Hellman, and who has been proven to hold it (handle-protocol §8, §9).

Later requests carry a MAC made with the key, and a counter that does not repeat.  Law: only a message whose MAC was
checked speaks for the session; the one exception of real clients, the answer to a challenge, proves itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from resolver.keys.cipher import check_mac, decrypt, encrypt
from resolver.registrar import Caller
from resolver.sessions.replays import Replays
from resolver.sessions.shelf import Bounds, Shelf
from resolver.wire import (
    HS_MAC,
    Credential,
    Message,
    ResponseCode,
    WireError,
    mac_hash,
    signed_block,
)

# Anybody can make sessions in which nothing was proven; those in which it was are not pushed out by them.
_STRANGERS = Bounds(4_096, 4_096, 512, 512)
_KNOWN = Bounds(16_384, 16_384, 4_096, 4_096)
RECHECK_SECONDS = 10.0
"""A key that is changed or removed counts for so long, at most, where it was proven before."""

_MAC = b"HMAC-SHA256"  # versions before 2.7 have weaker ones
NO_SESSION = "Invalid session id or session time out. Please try again."


class SessionError(Exception):
    """A message does not belong to the session that it names; `code` tells the client what to do (RFC 3652 §3.5)."""

    def __init__(self, code: ResponseCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Known:
    """Who has been proven to ask, for longer than one request: by which key, and when that was looked at last.

    `key_mark` changes when the key does (`Authenticator.key_mark`).
    """

    caller: Caller
    key_mark: str
    checked_at: float

    def is_due(self, now: float) -> bool:
        """True when it is time to see whether the key is still the same."""
        return now - self.checked_at > RECHECK_SECONDS


@dataclass(slots=True)
class Session:
    """One session; `known` is None until a challenge was answered in it."""

    session_id: int
    key: bytes = field(repr=False)
    idle_seconds: float
    used_at: float
    known: Known | None = None
    replays: Replays = field(default_factory=Replays)

    def is_over(self, now: float) -> bool:
        """True when it was not used for too long."""
        return now - self.used_at > self.idle_seconds

    def open(self, content: bytes) -> bytes:
        """Return the readable content of an encrypted message.  Raises SessionError."""
        try:
            return decrypt(self.key, content)
        except ValueError as error:
            raise spoilt() from error

    def seal(self, content: bytes, iv: bytes) -> bytes:
        """Return content encrypted; `iv` is 16 random bytes."""
        return encrypt(self.key, content, iv)

    def check(self, message: Message, credential: Credential | None) -> None:
        """Insist on the session's MAC, which is the message's `mac_of`, and on a counter that was not there before.

        Raises SessionError.
        """
        version = message.envelope.version
        if credential is None or not mac_hash(version) == credential.hash_name == _MAC:
            raise spoilt()
        block = signed_block(version, message.envelope, credential.counter, message.header_and_body)
        if not check_mac(self.key, block, credential.signature):
            raise spoilt()
        if not self.replays.accept(credential.counter):
            raise SessionError(
                ResponseCode.SESSION_MESSAGE_REJECTED,
                f"Message {credential.counter} of the session was there before",
            )


def spoilt() -> SessionError:
    """Say that a message cannot be of its session: the same, whatever gave it away, so that nobody learns from it."""
    return SessionError(ResponseCode.SESSION_FAILED, "The message does not fit its session")


def unknown() -> SessionError:
    """Say that there is no such session, or no more: the client starts over."""
    return SessionError(ResponseCode.SESSION_TIMEOUT, NO_SESSION)


def mac_of(message: Message) -> Credential | None:
    """Return the MAC that a message carries; None when it has none, or another credential."""
    if not message.credential:
        return None
    try:
        credential = Credential.decode(message.credential)
    except WireError:
        return None
    return credential if credential.kind == HS_MAC else None


class Sessions:
    """The sessions of one worker."""

    def __init__(
        self, idle_seconds: float, strangers: Bounds = _STRANGERS, known: Bounds = _KNOWN
    ) -> None:
        """`idle_seconds`: how long a session lasts that is not used."""
        self._idle_seconds = idle_seconds
        self._strangers: Shelf[Session] = Shelf(strangers)
        self._known: Shelf[Session] = Shelf(known)

    def __contains__(self, session_id: int) -> bool:
        return session_id in self._strangers or session_id in self._known

    def __len__(self) -> int:
        return len(self._strangers) + len(self._known)

    def start(
        self, session_id: int, key: bytes, source: str, now: float, asked_seconds: int
    ) -> Session:
        """Begin a session that lasts as long as the client asks (0: it does not say), but no longer than we let it."""
        idle = min(asked_seconds or self._idle_seconds, self._idle_seconds)
        session = Session(session_id, key, idle, now)
        self._forget(now)
        self._strangers.put(session_id, session, source, 1)
        return session

    def find(self, session_id: int, now: float) -> Session | None:
        """Return a session that is not over."""
        session = self._strangers.get(session_id) or self._known.get(session_id)
        if session is not None and session.is_over(now):
            self.end(session_id)
            return None
        return session

    def used(self, session: Session, now: float) -> None:
        """Say that a message of this session has been checked: it lasts anew."""
        session.used_at = now
        self._strangers.renew(session.session_id)
        self._known.renew(session.session_id)

    def know(self, session: Session, known: Known, source: str) -> bool:
        """Say whose the session is, and from where that was proven; false when it is somebody else's already."""
        if session.known is not None:
            before, now = session.known.caller, known.caller
            return (before.handle, before.index) == (now.handle, now.index)
        session.known = known
        if self._strangers.take(session.session_id) is not None:
            self._known.put(session.session_id, session, source, 1)
        return True

    def end(self, session_id: int) -> None:
        """End a session, if there is one."""
        self._strangers.take(session_id)
        self._known.take(session_id)

    def _forget(self, now: float) -> None:
        """Drop what is over; the shelves are in the order of use."""
        for shelf in (self._strangers, self._known):
            for session in _over(shelf, now):
                self.end(session.session_id)


def _over(shelf: Shelf[Session], now: float) -> Iterator[Session]:
    while (oldest := shelf.oldest()) and oldest[1].is_over(now):
        yield oldest[1]
