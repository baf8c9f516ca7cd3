"""A streaming replica: reads of records go to it as long as it says nothing older than what this worker knows.

Laws: each answer of it carries the serial of its own snapshot, and whether that server is a standby of this life of the
database.  An answer from before the newest known change of its key is thrown away, and the primary is asked; so a
replica may lag, stand still, or be somebody else's, and nobody is given anything old.  What decides (writes, logins,
permissions, the change feed itself) never comes here.

It is left out while it is away, too far behind, promoted, or of another history; the primary answers alone then.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple, TypeVar
from uuid import UUID

from node.store.database import Connection, Database, Row, StoreError, StoreUnavailable
from node.store.records import RecordSource, stored_rows
from resolver.answer import Stored
from resolver.freshness import Freshness
from resolver.observe import Event, Gauge, Tally
from resolver.source import Give, SourceUnavailable

POLL_SECONDS = 0.5
ANSWER_SECONDS = 0.5  # then the primary is asked
FAR_BEHIND_SECONDS = 2.0
_RECENT = 100  # changes among which one of a record is looked for, to compare histories

# As `records.LOOKUP`, and in the row without a key: whose life of the database it is, and whether this is a standby.
_LOOKUP = """
select serial, null::bytea as key, uuid_send(epoch), null::int, pg_is_in_recovery(),
    null::bytea, null::bytea, null::bigint, null::int, null::bytea
from change_counter
union all
select null, key, handle, ttl, whole is not null, wire, json, expires, version, gone
from record where key = any($1::bytea[])
"""
_STANDING = """
select c.serial, c.epoch, pg_is_in_recovery(), line.serial, line.key
from change_counter c left join lateral (
    select serial, key from change
    where serial > c.serial - $1 and kind = 0 order by serial desc limit 1
) line on true
"""

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Query = Callable[[Connection], Awaitable[Result]]


class ReplicaState(IntEnum):
    """Whether reads go to the replica, and why not; the numbers are those of the metric."""

    NONE = 0
    USED = 1
    AWAY = 2
    BEHIND = 3
    PROMOTED = 4
    FOREIGN = 5


REASONS = MappingProxyType(
    {
        ReplicaState.USED: "in use",
        ReplicaState.AWAY: "cannot be reached; the primary is read",
        ReplicaState.BEHIND: f"more than {FAR_BEHIND_SECONDS:.0f} s behind; the primary is read",
        ReplicaState.PROMOTED: "was promoted, and is no standby any more; the primary is read",
        ReplicaState.FOREIGN: "is of another database, or has another history; the primary is read",
    }
)


class Standing(NamedTuple):
    """Where a server stands, and the newest change of a record that it knows (None: none lately)."""

    serial: int
    epoch: UUID
    is_standby: bool
    changed_at: int | None
    changed_key: bytes | None


class Replica:
    """The replica of one worker: how it stands, and the connections to it.  It stands still unless `run()` runs.

    `epoch` tells the life of the database that the change feed reads (None before first contact).
    """

    def __init__(
        self,
        dsn: str,
        freshness: Freshness,
        epoch: Callable[[], UUID | None],
        tally: Tally,
        *,
        far_behind_seconds: float = FAR_BEHIND_SECONDS,
    ) -> None:
        self.dsn = dsn
        self.freshness = freshness
        self.tally = tally
        self._epoch = epoch
        self._far_behind_seconds = far_behind_seconds
        self._seen: deque[tuple[float, int]] = deque()  # when the feed had come how far
        self._database = Database(dsn, max_connections=1)
        self.records = RecordSource(
            dsn,
            lookup_seconds=ANSWER_SECONDS,
            on_error=lambda _: tally.happened(Event.REPLICA_ERROR),
            statement=_LOOKUP,
            read_rows=self._read_rows,
        )
        self.state = ReplicaState.NONE  # before the first look
        self.serial = 0  # of its newest answer

    @property
    def is_used(self) -> bool:
        """True while reads go to it."""
        return self.state is ReplicaState.USED

    async def run(self) -> None:
        """Hold the connections and look how it stands, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.records.run())
            while True:
                await self.look()
                await asyncio.sleep(POLL_SECONDS)

    async def close(self) -> None:
        """Let go of it."""
        await self._database.close()

    async def look(self) -> None:
        """See how it stands now, once the feed has told what to compare it with."""
        if self._epoch() is None:
            return
        due = self._due()
        try:
            async with self._database.connection_for(ANSWER_SECONDS) as connection:
                standing = await read_standing(connection)
        except (StoreUnavailable, StoreError):
            self.tally.happened(Event.REPLICA_ERROR)
            self.be(ReplicaState.AWAY)
        else:
            self.be(self._judge(standing, due))
        self.tally.level(Gauge.REPLICA_BEHIND, max(0, self.freshness.seen - self.serial))

    def be(self, state: ReplicaState) -> None:
        """Note how it stands; a change of that is told in the log."""
        if state is not self.state:
            self.state = state
            level = logging.INFO if self.is_used else logging.WARNING
            log.log(level, "the read replica: %s", REASONS[state], extra={"serial": self.serial})
        self.tally.level(Gauge.REPLICA_STATE, state)

    def is_fresh(self, standing: Standing) -> bool:
        """True when it knows all that this worker has heard of, from the feed and of its own writes."""
        return self._identity(standing) is None and standing.serial >= self.freshness.newest

    def _due(self) -> int:
        """Return the serial that it must have reached not to be far behind."""
        now = asyncio.get_running_loop().time()
        self._seen.append((now, self.freshness.seen))
        while len(self._seen) > 1 and self._seen[1][0] <= now - self._far_behind_seconds:
            self._seen.popleft()
        since, serial = self._seen[0]
        return serial if since <= now - self._far_behind_seconds else 0

    def _judge(self, standing: Standing, due: int) -> ReplicaState:
        self.serial = standing.serial
        if (wrong := self._identity(standing)) is not None:
            return wrong
        return ReplicaState.BEHIND if standing.serial < due else ReplicaState.USED

    def _identity(self, standing: Standing) -> ReplicaState | None:
        if standing.epoch != self._epoch() or not self._shares_history(standing):
            return ReplicaState.FOREIGN
        return None if standing.is_standby else ReplicaState.PROMOTED

    def _shares_history(self, standing: Standing) -> bool:
        """False when it knows a change that the feed has not told, though it has come so far.

        So is a standby of a server that was promoted and has gone its own way.
        """
        at, key, freshness = standing.changed_at, standing.changed_key, self.freshness
        if at is None or key is None or not freshness.window_start < at <= freshness.seen:
            return True
        return freshness.floor(key) >= at

    def _read_rows(self, rows: Sequence[Row]) -> tuple[dict[bytes, Stored], Stored]:
        """Read an answer, if it is one of a standby of ours.  Raises StoreError."""
        head = next(row for row in rows if row[1] is None)
        self.serial = head[0]
        standing = Standing(head[0], UUID(bytes=head[2]), head[4], None, None)
        if (wrong := self._identity(standing)) is not None:
            self.be(wrong)
            raise StoreError(f"the read replica {REASONS[wrong]}")
        return stored_rows(rows)


class ReplicaSource:
    """The last `Source` where there is a replica: it is asked first, and the primary when its answer is too old."""

    def __init__(self, primary: RecordSource, replica: Replica) -> None:
        self._primary = primary
        self._replica = replica

    async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
        """Return the record, or a negative answer; see `resolver.source.Source`."""
        replica = self._replica
        if self._is_asked(at_least):
            try:
                stored = await replica.records.lookup(key)
            except SourceUnavailable:
                self._leave_out()
            else:
                if self._is_new(key, stored, at_least):
                    return stored
        return await self._primary.lookup(key, at_least=at_least)

    async def gather(self, keys: Sequence[bytes], give: Give) -> None:
        """Ask the replica for all, and the primary for those whose answers are too old; see `Source`."""
        left = dict.fromkeys(keys)

        def sift(found: Mapping[bytes, Stored]) -> None:
            new = {key: stored for key, stored in found.items() if self._is_new(key, stored, 0)}
            for key in new:
                del left[key]
            give(new)

        if self._is_asked(0):
            try:
                await self._replica.records.gather(keys, sift)
            except SourceUnavailable:
                self._leave_out()
        if left:
            await self._primary.gather(list(left), give)

    def _is_asked(self, at_least: int) -> bool:
        replica = self._replica
        return bool(replica.is_used and replica.records.connected and at_least <= replica.serial)

    def _leave_out(self) -> None:
        if self._replica.is_used:
            self._replica.be(ReplicaState.AWAY)

    def _is_new(self, key: bytes, stored: Stored, at_least: int) -> bool:
        """Whether an answer of the replica may be given."""
        freshness = self._replica.freshness
        if stored.serial >= max(at_least, freshness.floor(key), freshness.window_start):
            return True
        self._replica.tally.happened(Event.REPLICA_TOO_OLD)
        return False


class ReadDatabase(Database):
    """A pool of the primary that puts queries which only read to the replica, if it knows all that the worker does."""

    def __init__(
        self,
        dsn: str,
        replica: Replica | None,
        *,
        max_connections: int,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(dsn, max_connections=max_connections, settings=settings)
        self._replica = replica
        self._replica_database: Database | None = None
        if replica is not None:
            self._replica_database = Database(
                replica.dsn, max_connections=max_connections, settings=settings
            )

    async def read(self, seconds: float, query: Query[Result]) -> Result:
        """See Database; a replica that fails costs the time it took."""
        if (
            self._replica is not None
            and self._replica_database is not None
            and self._replica.is_used
        ):
            try:
                async with self._replica_database.connection_for(seconds) as connection:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        standing = await read_standing(connection)
                    if self._replica.is_fresh(standing):
                        return await query(connection)
                self._replica.tally.happened(Event.REPLICA_TOO_OLD)
            except (StoreUnavailable, StoreError):
                self._replica.tally.happened(Event.REPLICA_ERROR)
        return await super().read(seconds, query)

    async def close(self) -> None:
        """Close the connections to both."""
        if self._replica_database is not None:
            await self._replica_database.close()
        await super().close()


async def read_standing(connection: Connection) -> Standing:
    """Return where a server stands."""
    row = await connection.fetchrow(_STANDING, _RECENT)
    if row is None:
        raise StoreUnavailable("Postgres has lost its change counter")
    return Standing(*row)
