"""The sync's role in the keeper: among all keepers of one database, one at a time speaks with the top-level node.

It holds an advisory lock in Postgres; another keeper stands by and asks again.  Nothing that goes wrong here stops the
node: changes wait in the outbox, and are sent when the cause is removed.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from random import SystemRandom
from secrets import token_urlsafe
from time import monotonic, time
from typing import NamedTuple

from node.settings import Settings
from node.store.database import (
    Database,
    OwnConnection,
    StoreError,
    StoreUnavailable,
    connect,
)
from node.store.outbox import PostgresOutbox
from node.store.roles import SoleRole, check_there, try_role
from node.store.standing import newest_evidence
from node.store.writing import SESSION
from node.together import first_of
from node.upstream.credentials import CredentialFiles, Credentials, CredentialsError
from node.upstream.link import (
    POLL_SECONDS,
    Beside,
    GatheringOutbox,
    Heart,
    Link,
    session_name,
    until_replaced,
)
from node.upstream.quiet import is_due
from resolver.keys.seal import Seal, SealError
from sync.sender import Sender
from sync.transport import Clocks, HttpsTransport

DUE_SECONDS = 30.0  # between two looks whether a comparison is due

log = logging.getLogger(__name__)


class Pauses(NamedTuple):
    """How long is waited, in seconds, before something is looked at again."""

    standby: float = 5.0  # whether the lock can be had
    troubled: float = 1.0  # after Postgres was away
    unready: float = 5.0  # while a file is missing
    lock: float = 1.0  # whether the lock is still ours
    files: float = 15.0  # whether a file was replaced


class State(StrEnum):
    """What the role does."""

    STANDBY = "standby"  # another instance speaks with the top-level node
    SENDING = "sending"
    LOST = "lost"  # the top-level node cannot be reached, or does not take what it is sent
    WAITING = "waiting"  # for Postgres, or for a file


USUAL_PAUSES = Pauses()


class Standing(NamedTuple):
    """How it stands, for operators; times are POSIX seconds, 0 for never."""

    state: State
    reason: str  # a sentence
    failures: int  # tries in a row
    answered_at: float
    beat_at: float
    clocks: Clocks | None
    certificate_end: datetime | None
    signing_key: str


class NotSending(Exception):
    """This instance does not speak with the top-level node now; the text says why."""


class SyncRole:
    """Runs in the keeper until cancelled or told to end.

    `besides` are done over the same transport, while the role is ours.
    """

    def __init__(
        self,
        settings: Settings,
        seal: Seal,
        *,
        besides: Sequence[Beside] = (),
        pauses: Pauses = USUAL_PAUSES,
    ) -> None:
        self.url = settings.sync_url
        self.node_prefix = settings.node_prefix
        self._database = Database(settings.database_url, max_connections=3, settings=SESSION)
        self._outbox = PostgresOutbox(self._database, seal)
        self._files = CredentialFiles.of(settings)
        self._heart = Heart(settings.node_prefix, monotonic())
        self._besides = besides
        self._pauses = pauses
        self._link: Link | None = None
        self._credentials: Credentials | None = None
        self._state, self._reason = State.STANDBY, "starting"
        self._ending, self._ended, self._anew = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._wanted_at: datetime | None = None  # when a comparison was asked for

    async def run(self) -> None:
        """Be the one that sends whenever nobody else is, until told to end."""
        try:
            await first_of(self._try_for_ever(), _set(self._ending))
        finally:
            self._ended.set()
            await self._database.close()

    async def end(self) -> None:
        """Stop; what waits is sent after the next start."""
        self._ending.set()
        await self._ended.wait()

    def standing(self) -> Standing:
        """Return how it stands."""
        link, credentials = self._link, self._credentials
        state, reason = self._state, self._reason
        if link is not None and link.sender.failures:
            state, reason = State.LOST, link.sender.trouble or "it never stands where it says"
        end = credentials.certificate_end if credentials else None
        if end is not None and end <= datetime.now(UTC) and state is not State.STANDBY:
            reason = f"our certificate expired on {end:%Y-%m-%d %H:%M} UTC; {reason}"
        return Standing(
            state,
            reason,
            link.sender.failures if link else 0,
            link.transport.answered_at if link else 0.0,
            link.beat_at if link else 0.0,
            link.transport.clocks if link else None,
            end,
            credentials.signer.key_id if credentials else "",
        )

    def hint(self) -> None:
        """There may be changes."""
        if self._link is not None:
            self._link.sender.hint()

    def verify(self) -> None:
        """Have all rows compared with the peer's, and repaired there.  Raises NotSending."""
        link = self._our_link()
        self._wanted_at = datetime.now(UTC)
        link.sender.verify()

    async def begin_session(self) -> str:
        """Take a new session, after our database was restored from a backup; return its name.

        The peer then compares all rows, and gets those that differ.  Raises NotSending, StoreUnavailable, StoreError.
        """
        self._our_link()
        name = session_name(self.node_prefix, datetime.now(UTC))
        await self._outbox.restart(name)
        self._anew.set()
        return name

    def _our_link(self) -> Link:
        if self._link is None:
            raise NotSending(f"this instance does not send: {self._reason}")
        return self._link

    async def _try_for_ever(self) -> None:
        while True:
            pause = await self._try()
            await asyncio.sleep(pause)

    async def _try(self) -> float:
        """Send as long as it goes well; return how long to wait before the next try."""
        try:
            async with self._locked() as connection:
                if connection is None:
                    self._say(State.STANDBY, "another instance speaks with the top-level node")
                    return self._pauses.standby
                await self._send(connection)
                self._say(State.STANDBY, "it begins anew")
                return 0.0
        except (StoreUnavailable, StoreError, OSError) as error:
            self._say(State.WAITING, str(error))
        except (CredentialsError, SealError) as error:
            self._say(State.WAITING, str(error))
            return self._pauses.unready
        except Exception as error:  # the top of the task
            log.exception("the sync's role failed")
            self._say(State.WAITING, f"{type(error).__name__}; the log of the node has its cause")
            return self._pauses.unready
        return self._pauses.troubled

    @asynccontextmanager
    async def _locked(self) -> "AsyncIterator[OwnConnection | None]":
        """Take the lock, or None; the connection is cut at the end."""
        connection = await connect(self._database.dsn)
        try:
            yield connection if await try_role(connection, SoleRole.SYNC) else None
        finally:
            connection.terminate()

    async def _send(self, connection: OwnConnection) -> None:
        """Send until something fails, or there is a reason to begin anew."""
        await asyncio.to_thread(self._files.make_key)
        mark = await asyncio.to_thread(self._files.mark)
        credentials = await asyncio.to_thread(self._files.load)
        self._credentials = credentials
        self._anew.clear()
        transport = _transport(self.url, credentials)
        try:
            link = self._link = Link(
                self._outbox, transport, credentials, self._heart, self._sender(transport)
            )
            self._say(State.SENDING, f"in step with {self.url}")
            await first_of(
                link.sender.run(),
                link.beat(),
                self._verify_when_due(link.sender),
                _hold(connection, self._pauses.lock),
                until_replaced(self._files, mark, self._pauses.files),
                _set(self._anew),
                *[beside(transport) for beside in self._besides],
            )
        finally:
            self._link = None
            await transport.close()

    def _sender(self, transport: HttpsTransport) -> Sender:
        return Sender(
            GatheringOutbox(self._outbox),
            transport,
            random=SystemRandom().random,
            new_session=lambda: session_name(self.node_prefix, datetime.now(UTC)),
            poll_seconds=POLL_SECONDS,
        )

    async def _verify_when_due(self, sender: Sender) -> None:
        """Ask for the comparison once a day; one that was asked for and not finished is asked for again at first."""
        if self._wanted_at is not None:
            sender.verify()
        while True:
            kept = await newest_evidence(self._database)
            found_at, now = kept.at if kept else None, datetime.now(UTC)
            if self._wanted_at is not None and found_at is not None and found_at >= self._wanted_at:
                self._wanted_at = None
            if self._wanted_at is None and is_due(now, found_at):
                self._wanted_at = now
                sender.verify()
            await asyncio.sleep(DUE_SECONDS)

    def _say(self, state: State, reason: str) -> None:
        if (state, reason) != (self._state, self._reason):
            level = logging.WARNING if state is State.WAITING else logging.INFO
            log.log(level, "the sync is %s", state, extra={"reason": reason})
        self._state, self._reason = state, reason


def _transport(url: str, credentials: Credentials) -> HttpsTransport:
    return HttpsTransport(
        url,
        credentials.tls,
        credentials.signer,
        clock=time,
        nonce=lambda: token_urlsafe(16),
        peer_keys=credentials.peer_keys,
    )


async def _hold(connection: OwnConnection, pause_seconds: float) -> None:
    """See that the lock is ours, until it is not.  Raises StoreUnavailable."""
    while True:
        await check_there(connection)
        await asyncio.sleep(pause_seconds)


async def _set(event: asyncio.Event) -> None:
    await event.wait()
