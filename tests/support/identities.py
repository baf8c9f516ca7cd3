"""Keys, tokens and sessions in dicts: authentication for a test that needs no database."""

from collections.abc import Sequence

from resolver.authentication import Authenticator, Token, token_digest
from resolver.httplogin import HttpLogin
from resolver.httpsession import HttpSessions, Session
from resolver.observe import CELL_COUNT, Event, Tally, event_cell
from resolver.schemes import parse_handle
from resolver.source import SourceUnavailable
from resolver.wire import HandleValue

SESSION_SECONDS = 1_800


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Identities:
    """Implements KeyStore, TokenStore and SessionStore."""

    def __init__(self, clock: Clock) -> None:
        self.values: dict[bytes, tuple[HandleValue, ...]] = {}
        self.tokens: dict[bytes, Token] = {}
        self.sessions: dict[bytes, tuple[Session, float]] = {}
        self.closed: set[bytes] = set()
        self.touched = 0
        self.is_down = False
        self._clock = clock

    def put(self, handle: str, *values: HandleValue) -> None:
        """Write a record."""
        self.values[parse_handle(handle.encode()).key] = values

    def put_token(self, text: str, token: Token) -> None:
        """Write a token."""
        self.tokens[token_digest(text)] = token

    async def keys(self, handle: bytes) -> Sequence[HandleValue] | None:
        """See KeyStore."""
        if self.is_down:
            raise SourceUnavailable
        return self.values.get(handle)

    async def find_token(self, digest: bytes) -> Token | None:
        """See TokenStore."""
        return self.tokens.get(digest)

    async def find_session(self, digest: bytes, session_seconds: int) -> Session | None:
        """See SessionStore."""
        session, used = self.sessions.get(digest, (None, 0.0))
        idle = self._clock.now - used
        if session is None or digest in self.closed or idle >= session_seconds:
            return None
        return Session(session.handle, session.index, session.key_mark, idle)

    async def open_session(self, digest: bytes, session: Session, session_seconds: int) -> bool:
        """See SessionStore."""
        known = digest in self.sessions
        if digest in self.closed or (
            known and not await self.find_session(digest, session_seconds)
        ):
            return False
        self.sessions[digest] = session, self._clock.now
        return True

    async def touch_session(self, digest: bytes, session_seconds: int) -> None:
        """See SessionStore."""
        self.touched += 1
        self.sessions[digest] = self.sessions[digest][0], self._clock.now

    async def close_session(self, digest: bytes) -> None:
        """See SessionStore."""
        if digest in self.sessions:
            self.closed.add(digest)


class Gate:
    """An authenticator and a login over identities in memory."""

    def __init__(self, *, allow_weak: bool = False, allow_cleartext: bool = False) -> None:
        self.clock = Clock()
        self.identities = Identities(self.clock)
        self.tally = Tally([0] * CELL_COUNT)
        self._drawn = 0
        self.authenticator = Authenticator(
            self.identities, self.identities, self.tally, self.clock, allow_weak=allow_weak
        )
        self.sessions = self.new_sessions()
        self.login = HttpLogin(self.authenticator, self.sessions, allow_cleartext=allow_cleartext)

    def new_sessions(self, key: bytes = b"key of all workers") -> HttpSessions:
        """Return the sessions as another worker has them, or one with another key."""
        return HttpSessions(
            self.authenticator,
            self.identities,
            key,
            self.clock,
            self._random,
            session_seconds=SESSION_SECONDS,
        )

    def counted(self, event: Event) -> int:
        """Return how often an event has happened."""
        return self.tally.cells[event_cell(event)]

    def _random(self, count: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(count, "big")
