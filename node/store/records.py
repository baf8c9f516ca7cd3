"""Records in Postgres: the last tier of the read path, and the vault that knows restricted values.

All look-ups of one event-loop tick travel in one statement over a few held connections; while those
are busy, questions gather, so the more there is to do, the less each one costs.

Laws: an answer carries the serial of the snapshot it was read in, also when there is no such
record.  A question waits two seconds at most.  After Postgres was away the connections come back by
themselves; meanwhile questions fail at once.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import TypeAlias

from node.store.database import (
    Database,
    OwnConnection,
    Row,
    Statement,
    StoreError,
    StoreUnavailable,
    connect,
    store_errors,
)
from node.store.lookups import LookupQueue, answer, fail
from resolver.answer import MAX_TTL_SECONDS, NEGATIVE_TTL_SECONDS, Stored, Tier
from resolver.quickly import quickly
from resolver.source import NEWEST, Give, Whole
from resolver.wire import HandleValue, decode_values

HELD_CONNECTIONS = 3
LOOKUP_SECONDS = 2.0
VAULT_READS = 4  # of one worker under way at once
VAULT_WAITING = 64  # beyond these a question is refused
RECONNECT_SECONDS = (0.0, 0.05, 0.1, 0.2, 0.5)  # pauses before each attempt; the last one repeats
OVERDUE_SWEEP_SECONDS = 0.25

SECRET_KEY_TYPE = b"HS_SECKEY"

ReadRows: TypeAlias = Callable[[Sequence[Row]], tuple[dict[bytes, Stored], Stored]]

# One statement, so one snapshot.  The row without a key bears the serial; it comes always.
LOOKUP = """
select serial, null::bytea as key, null::bytea, null::int, null::boolean,
    null::bytea, null::bytea, null::bigint, null::int, null::bytea
from change_counter
union all
select null, key, handle, ttl, whole is not null, wire, json, expires, version, gone
from record where key = any($1::bytea[])
"""
_WHOLE = """
select c.serial, coalesce(r.whole, r.wire)
from change_counter c left join record r on r.key = $1 and r.gone is null
"""


class RecordSource:
    """The last `Source`: Postgres, asked in batches.  Look-ups are answered while `run()` runs.

    `on_error` is told of each failure of a connection or a statement, once.
    """

    def __init__(
        self,
        dsn: str,
        *,
        connections: int = HELD_CONNECTIONS,
        lookup_seconds: float = LOOKUP_SECONDS,
        on_error: Callable[[Exception], None] = lambda _: None,
        statement: str = LOOKUP,
        read_rows: ReadRows | None = None,
    ) -> None:
        """`statement` and `read_rows` are for another server than the primary: see `replica`."""
        self._statement = statement
        self._read_rows = read_rows or stored_rows
        self._dsn = dsn
        self._connections = connections
        self._lookup_seconds = lookup_seconds
        self._on_error = on_error
        self._questions = LookupQueue(lookup_seconds)
        self._outage: str | None = None  # why, while no connection stands
        self.connected = 0

    @property
    def idle(self) -> int:
        """Held connections that wait for a question."""
        return self._questions.idle_lanes

    async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
        """Return the record, or a negative answer; see `resolver.source.Source`.

        Raises SourceUnavailable when Postgres is away, too slow, or behind `at_least` (restored
        from a backup: it answers again as soon as the change feed has noticed).
        """
        if self._outage is not None:
            raise StoreUnavailable(self._outage)
        stored = await self._questions.ask(key)
        if stored.serial < at_least != NEWEST:
            raise StoreUnavailable(f"Postgres is at serial {stored.serial}, before {at_least}")
        return stored

    async def gather(self, keys: Sequence[bytes], give: Give) -> None:
        """Ask for all of them at once; see `resolver.source.Source`."""
        if self._outage is not None:
            raise StoreUnavailable(self._outage)
        group = self._questions.ask_all(keys)
        await group.over
        give(group.found)
        if group.gone is not None:
            raise group.gone

    async def run(self) -> None:
        """Hold the connections until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._fail_overdue())
                for _ in range(self._connections):
                    tasks.create_task(self._hold_connection())
        finally:
            self._set_outage("the record source is closed")

    async def _fail_overdue(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(OVERDUE_SWEEP_SECONDS)
            self._questions.fail_overdue(loop.time(), "Postgres did not answer in time")

    async def _hold_connection(self) -> None:
        while True:
            connection, statement = await self._prepare_connection()
            self.connected += 1
            self._outage = None
            try:
                await self._serve(connection, statement)
            except (StoreUnavailable, StoreError) as error:
                self._on_error(error)
            finally:
                self.connected -= 1
                connection.terminate()

    async def _prepare_connection(self) -> tuple[OwnConnection, Statement]:
        for attempt, pause in enumerate(chain(RECONNECT_SECONDS, repeat(RECONNECT_SECONDS[-1]))):
            await asyncio.sleep(pause)
            try:
                return await _prepare(self._dsn, self._statement, self._lookup_seconds)
            except (StoreUnavailable, StoreError) as error:
                self._on_error(error)
                if attempt and not self.connected:  # one failure may be a cut; two are an outage
                    self._set_outage(str(error))
        raise AssertionError  # the pauses never end

    async def _serve(self, connection: OwnConnection, statement: Statement) -> None:
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def lost(_: object) -> None:
            if not wake.done():
                wake.set_exception(StoreUnavailable("Postgres closed the connection"))
                wake.exception()  # while a look-up is under way nobody waits for it; that is no fault

        connection.add_termination_listener(lost)
        while True:
            wake = asyncio.get_running_loop().create_future()
            if connection.is_closed():
                lost(connection)
            batch = await self._questions.take(wake)
            try:
                with store_errors():
                    rows = await statement.fetch(list(batch), timeout=self._lookup_seconds)
                found, missing = self._read_rows(rows)
            except StoreError as error:
                fail(batch, str(error))
                raise
            except BaseException:
                self._questions.put_back(batch)
                raise
            answer(batch, found, missing)

    def _set_outage(self, reason: str) -> None:
        self._outage = reason
        self._questions.fail_all(reason)


async def _prepare(dsn: str, text: str, timeout_seconds: float) -> tuple[OwnConnection, Statement]:
    connection = await connect(dsn, timeout_seconds=timeout_seconds)
    try:
        with store_errors():
            # Planning once is enough for a look-up by primary key, and saves a third of its cost.
            await connection.execute("set plan_cache_mode = force_generic_plan")
            return connection, await connection.prepare(text)
    except BaseException:
        connection.terminate()
        raise


def stored_rows(rows: Sequence[Row]) -> tuple[dict[bytes, Stored], Stored]:
    """Return the records found by key, and the negative answer of the same snapshot."""
    serial: int = next(row[0] for row in rows if row[1] is None)
    found = {}
    for _, key, handle, ttl, restricted, wire, json, expires, version, gone in rows:
        if gone is not None:
            found[key] = _tombstone(serial, gone, version)
        elif key is not None:
            if expires is not None:
                ttl = min(ttl, max(0, expires - int(time.time())))
            ttl = min(ttl, MAX_TTL_SECONDS)
            row = serial, handle, ttl, restricted, wire, json, Tier.POSTGRES, version
            found[key] = quickly(Stored, row)
    return found, Stored(serial, None, NEGATIVE_TTL_SECONDS, False, b"", b"", Tier.POSTGRES)


def _tombstone(serial: int, gone: bytes, version: int) -> Stored:
    """A negative answer that says since when and why there is no such record any more."""
    return Stored(serial, None, NEGATIVE_TTL_SECONDS, False, b"", gone, Tier.POSTGRES, version)


class RecordVault:
    """Whole records, restricted values included; HS_SECKEY values never leave it.

    Anybody may ask, and nothing is kept: so few are read at once, and few more wait.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gate = asyncio.Semaphore(VAULT_READS)
        self._asked = 0

    async def values(self, key: bytes) -> Whole:
        """Return a record's values in stored order, or None, and the serial; see `resolver.source.Vault`.

        Waiting counts towards the two seconds, and a connection that hangs is cut.
        """
        if self._asked >= VAULT_READS + VAULT_WAITING:
            raise StoreUnavailable("too many questions wait for whole records")
        self._asked += 1
        try:
            row = await self._read(key)
        finally:
            self._asked -= 1
        if row is None:
            raise StoreUnavailable("Postgres has lost its change counter")
        serial, whole = row
        if whole is None:
            return Whole(serial, None)
        values = tuple(value for value in decode_values(whole) if not is_secret(value))
        return Whole(serial, values)

    async def _read(self, key: bytes) -> Row | None:
        try:
            async with (
                asyncio.timeout(LOOKUP_SECONDS),
                self._gate,
                self._database.connection_for(LOOKUP_SECONDS) as connection,
            ):
                return await connection.fetchrow(_WHOLE, key)
        except TimeoutError as error:
            raise StoreUnavailable("Postgres did not answer in time") from error
        except StoreError as error:
            raise StoreUnavailable(str(error)) from error


def is_secret(value: HandleValue) -> bool:
    """True for a secret key, which is never shown to anybody."""
    kind = value.type.upper()
    return kind == SECRET_KEY_TYPE or kind.startswith(SECRET_KEY_TYPE + b".")
