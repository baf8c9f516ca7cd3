"""The ledger's role in the keeper: among all keepers of one log, one at a time seals, signs and publishes.

It holds two locks: an advisory one in Postgres, on the connection that all writing is done on, so that who has lost it
cannot write; and one on the directory, so that no two keepers of one machine ever write the same files.  Another
keeper stands by and asks again.  What cannot be gone on with stops the role and nothing else: answers are given and
recorded all the while, and are sealed when the cause is removed.
"""

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from node.counters import Counters
from node.ledger.agreement import Disagreement
from node.ledger.announcer import Terms
from node.ledger.checkpoint import Checkpoint
from node.ledger.cosigning import Cosigning
from node.ledger.durable import make_directory
from node.ledger.follower import Moment
from node.ledger.keys import NoteError
from node.ledger.lanefile import LaneError
from node.ledger.leaf import LeafError
from node.ledger.log import Place, Reached, go_on
from node.ledger.logfiles import KEYS, LogDamaged, LogFiles
from node.ledger.note import Note, Signer
from node.ledger.quorum import Policy, PolicyError
from node.ledger.signing import load_signers
from node.ledger.standing import Standing
from node.ledger.tenure import Clock, Means, Tenure
from node.ledger.tlog import EMPTY_ROOT
from node.store.database import (
    Database,
    OwnConnection,
    StoreError,
    StoreUnavailable,
    connect,
    store_errors,
)
from node.store.ledger import Cosignature, add_cosignatures, read_extent, try_ledger_lock
from node.together import end_all
from resolver.observe import Tally

ROUND_SECONDS = 1.0
ASKED_SECONDS = 0.1  # between two glances at the inbox
STANDBY_SECONDS = 5.0  # between two tries to get the lock
TROUBLED_SECONDS = 5.0  # after Postgres was away, or the disk failed
STOPPED_SECONDS = 60.0  # after which a log that cannot be gone on with is looked at again
LAST_HEAD_SECONDS = 2.0  # that witnesses have for the last head before a stop
DIRECTORY = "ledger"  # below the data directory
_LOCK_FILE = "lock"

_STOPS = (Disagreement, LogDamaged, NoteError, PolicyError, LeafError, LaneError)

log = logging.getLogger(__name__)


class State(StrEnum):
    """What the role does."""

    STANDBY = "standby"  # another keeper writes
    WRITING = "writing"
    WAITING = "waiting"  # for Postgres, or the disk
    STOPPED = "stopped"  # a person has to look


_LEVELS = {
    State.STANDBY: logging.INFO,
    State.WRITING: logging.INFO,
    State.WAITING: logging.WARNING,  # it goes on by itself
    State.STOPPED: logging.ERROR,
}


class Standings(NamedTuple):
    """How the ledger stands, for health and metrics; `reason` is a sentence."""

    state: State
    reason: str
    size: int  # of the published tree
    published_at: float  # POSIX seconds, 0 for never
    behind: int  # leaves that no checkpoint has
    witnesses: Standing | None
    apart: Mapping[int, int]  # by slot: answers that the metrics count more than the ledger


class Conduct(NamedTuple):
    """What the settings say of the ledger."""

    directory: Path  # `<data_dir>/ledger`
    origin: str
    terms: Terms  # its `quorum` is the tlog-policy text; empty: nobody cosigns
    sm2: bool = False


class LedgerRole:
    """Runs in the keeper until cancelled."""

    def __init__(
        self,
        database: Database,
        conduct: Conduct,
        slots: Sequence[Counters],
        tally: Tally,
        *,
        clock: Clock = lambda: Moment(time.time_ns() // 1_000, time.monotonic()),
        round_seconds: float = ROUND_SECONDS,
        reached: Reached = go_on,
    ) -> None:
        """`slots` are the counters of all workers, in their order; a worker's lane has the number of its slot."""
        self._database = database
        self._conduct = conduct
        self._files = LogFiles(conduct.directory)
        self._slots = slots
        self._tally = tally
        self._clock = clock
        self._round_seconds = round_seconds
        self._reached = reached
        self._tenure: Tenure | None = None
        self._cosigning: Cosigning | None = None
        self._state, self._reason = State.STANDBY, "starting"
        self._ending, self._ended = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Be the writer whenever nobody else is, until told to end."""
        try:
            while not self._ending.is_set():
                await self._pause(await self._try())
        finally:
            self._ended.set()

    async def end(self) -> None:
        """When the workers have stopped: have the writer seal, sign and publish all there is, and wait for it.

        Another keeper's log, or one that cannot be written now, is left as it is: the next start does it.
        """
        self._ending.set()
        if self._tenure is not None:
            await self._ended.wait()

    async def _try(self) -> float:
        """Be the writer as long as it goes well; return how long to wait before the next try."""
        pause = STANDBY_SECONDS
        try:
            await self.hold()
            is_ending = self._ending.is_set()
            reason = "the node stops" if is_ending else "another keeper writes this log"
            self._say(State.STANDBY, reason)
        except (StoreUnavailable, StoreError, OSError) as error:
            self._say(State.WAITING, str(error))
            pause = TROUBLED_SECONDS
        except _STOPS as error:
            self._say(State.STOPPED, str(error))
            pause = STOPPED_SECONDS
        except Exception as error:  # the top of the task
            log.exception("the ledger's role failed")
            self._say(State.WAITING, f"{type(error).__name__}; the log of the node has its cause")
        return pause

    async def hold(self) -> None:
        """Be the writer until something goes wrong; return at once when another process is.

        Raises StoreUnavailable, StoreError, OSError, and what stops the role.
        """
        async with self._locked() as connection:
            if connection is not None:
                await self._write(connection)

    def standing(self) -> Standings:
        """Return how the ledger stands."""
        tenure = self._tenure
        head, pending = (tenure.log.head[0], tenure.log.end) if tenure else (0, 0)
        return Standings(
            self._state,
            self._reason,
            head,
            tenure.published_at if tenure else 0.0,
            pending - head,
            self._cosigning.standing if self._cosigning else None,
            tenure.drift.apart if tenure else {},
        )

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator["OwnConnection | None"]:
        """Take both locks, or None; the connection is cut at the end, so nothing that is under way goes on."""
        await asyncio.to_thread(self._files.make)
        lock = await asyncio.to_thread(_take, self._conduct.directory / _LOCK_FILE)
        if lock is None:
            yield None
            return
        try:
            connection = await connect(self._database.dsn)
            try:
                with store_errors():
                    is_ours = await try_ledger_lock(connection, self._conduct.origin)
                yield connection if is_ours else None
            finally:
                connection.terminate()
        finally:
            os.close(lock)

    async def _write(self, connection: OwnConnection) -> None:
        signers = await self._signers(connection)
        place = Place(self._conduct.origin, self._files, signers, connection)
        policy = policy_of(self._conduct, signers)
        cosigning = Cosigning(
            self._files,
            policy[1],
            self._tally,
            self._keep_cosignatures,
            clock=lambda: self._clock().wall_us / 1e6,
        )
        terms = self._conduct.terms._replace(quorum=policy[0])
        means = Means(place, terms, self._slots, cosigning, self._clock, self._reached)
        try:
            witnessed = await cosigning.witnessed_size(await self._newest_note(signers))
            tenure = await Tenure.open(means, witnessed)
            try:
                await self._rounds(tenure, cosigning)
            finally:
                tenure.close()
        finally:
            self._tenure = self._cosigning = None
            await cosigning.close()

    async def _rounds(self, tenure: Tenure, cosigning: Cosigning) -> None:
        self._tenure, self._cosigning = tenure, cosigning
        self._say(State.WRITING, "this keeper writes the log")
        await tenure.round()  # a head is not cosigned without what has waited since before it
        asking = asyncio.create_task(cosigning.run())
        try:
            while not (asking.done() or self._ending.is_set()):
                await tenure.round()
                await self._wait_for_round(tenure)
            if self._ending.is_set():
                await tenure.end()
                await self._cosign_last(tenure.log.head[0], cosigning)
            else:
                await asking
        finally:
            await end_all([asking])

    async def _wait_for_round(self, tenure: Tenure) -> None:
        """Wait until the next round is due, or somebody asks for one."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._round_seconds
        while (left := due - loop.time()) > 0 and not self._ending.is_set():
            await self._pause(min(left, ASKED_SECONDS))
            if tenure.is_asked():
                return

    async def _cosign_last(self, size: int, cosigning: Cosigning) -> None:
        """Have the last head cosigned, so far as its witnesses answer at once."""
        cosigning.ask_now()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_HEAD_SECONDS):
                while cosigning.standing.size < size and not cosigning.standing.refusals:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)

    async def _pause(self, seconds: float) -> None:
        """Wait, unless told to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()

    async def _signers(self, connection: OwnConnection) -> tuple[Signer, ...]:
        conduct = self._conduct
        with store_errors():
            extent = await read_extent(connection, conduct.origin)
        is_new = not extent.end and not await asyncio.to_thread(self._files.has_tiles)
        keys = conduct.directory / KEYS
        return await asyncio.to_thread(
            lambda: load_signers(keys, conduct.origin, sm2=conduct.sm2, is_new=is_new)
        )

    async def _newest_note(self, signers: Sequence[Signer]) -> Note:
        """The newest checkpoint that is here, or one of the empty tree, to ask the witnesses with."""
        published = await asyncio.to_thread(self._files.published)
        if published is not None:
            return published
        text = Checkpoint(self._conduct.origin, 0, EMPTY_ROOT).text
        return Note(text).signed(*[signer.sign(text) for signer in signers])

    async def _keep_cosignatures(self, lines: Sequence[Cosignature]) -> None:
        """On a connection of its own: the writer's is in use, and anybody may store these."""
        async with self._database.connection() as connection:
            await add_cosignatures(connection, self._conduct.origin, lines)

    def _say(self, state: State, reason: str) -> None:
        if (state, reason) != (self._state, self._reason):
            log.log(_LEVELS[state], "the ledger is %s", state, extra={"reason": reason})
        self._state, self._reason = state, reason


def policy_of(conduct: Conduct, signers: Sequence[Signer]) -> tuple[str, Policy]:
    """Return the text of the log's policy and what it says; the log itself need not stand in it.

    Raises PolicyError.
    """
    text = conduct.terms.quorum or "quorum none\n"
    policy = Policy.parse(text.encode())
    if policy.logs:
        return text, policy
    own = "".join(f"log {signer.key}\n" for signer in signers)
    return own + text, Policy.parse((own + text).encode())


def _take(path: Path) -> int | None:
    """Return a descriptor that holds the lock, None when another process has it.  Raises OSError."""
    make_directory(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
