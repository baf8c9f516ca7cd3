"""Where the sync with the top-level node stands: for metrics, and for operators."""

from datetime import datetime
from typing import NamedTuple

import orjson

from node.store.database import Database, Row
from node.store.synced import MASTERS, open_row
from resolver.keys.seal import Seal
from sync.change import END, Place, Rejection, TableDigest
from sync.step import Evidence

MAX_REJECTIONS = 1_000
COUNTED_CHANGES = 10_000

# The masters' changes are those of records; those of prefixes' records are left out where it costs little to look.
_STANDING = """
with stand as (
    select case when peer.epoch = counter.epoch then peer.session else '' end as session,
        counter.serial, peer.acknowledged, peer.acknowledged_at, peer.is_complete,
        counter.serial - peer.acknowledged > $2 as are_many
    from change_counter counter, sync_peer peer
), of_rows as (
    select change.number, count(*) as pending, min(changed_at) as oldest_at
    from change
    where kind = 2 and serial > (select acknowledged from stand) group by change.number
), of_records as (
    select changed_at from stand, lateral (
        select changed_at, kind, key from change
        where change.serial > stand.acknowledged order by change.serial limit $2
    ) as first
    where kind = 0 and not (key >= '0.NA/' and key < '0.NA0')
), of_masters as (
    select $1::text as number,
        case when stand.are_many
            then serial - acknowledged - (select coalesce(sum(pending), 0) from of_rows)
            else (select count(*) from of_records)
        end as pending,
        (select min(changed_at) from of_records) as oldest_at
    from stand
), waiting as (
    select number, sum(pending) as pending, min(oldest_at) as oldest_at
    from (  -- masters that are sent again are among the rows
        select number, pending, oldest_at from of_rows
        union all
        select number, pending, oldest_at from of_masters where pending > 0
    ) as both_kinds group by number
), refused as (
    select number, count(*) as rejected from sync_rejection group by number
)
select session, serial, acknowledged, acknowledged_at, is_complete,
    number, coalesce(pending, 0)::bigint, oldest_at, coalesce(rejected, 0)
from stand left join (waiting full join refused using (number)) on true
order by number collate "C"
"""
_REJECTIONS = """
select number, key, serial, code, reason, at from sync_rejection
where (number, key) > ($1, $2) and (number, key) < ($3, $4) order by number, key limit $5
"""
_EVIDENCE = """
select session, serial_from, serial_to, digests, pages, repaired, at
from sync_evidence order by id desc limit 1
"""


class TableStanding(NamedTuple):
    """What waits to be sent of a table, since when, and how many of its rows are set aside."""

    table: str
    pending: int = 0
    oldest_at: datetime | None = None
    rejected: int = 0


class SyncStanding(NamedTuple):
    """Where we stand; `tables` are those of which something waits or is set aside, in the order of their names."""

    session: str
    serial: int
    acknowledged: int
    acknowledged_at: datetime | None
    is_complete: bool
    tables: tuple[TableStanding, ...]


class RejectedRow(NamedTuple):
    """A row that is set aside, and since when."""

    rejection: Rejection
    at: datetime


class KeptEvidence(NamedTuple):
    """What a walk found, and when it was finished."""

    evidence: Evidence
    at: datetime


async def read_sync_standing(database: Database) -> SyncStanding:
    """Return where we stand, read in one snapshot.  Raises StoreUnavailable, StoreError.

    Of more than ten thousand changes that wait the masters are counted as all that is no row, at no cost; rows that
    wait or are set aside are counted, which takes 0.2 s for some 400,000.
    """
    async with database.connection() as connection:
        rows = await connection.fetch(_STANDING, MASTERS, COUNTED_CHANGES)
    tables = [TableStanding(*row[5:]) for row in rows if row["number"] is not None]
    session, serial, acknowledged, acknowledged_at, is_complete = rows[0][:5]
    return SyncStanding(session, serial, acknowledged, acknowledged_at, is_complete, tuple(tables))


async def list_rejections(
    database: Database,
    seal: Seal,
    *,
    table: str = "",
    after: tuple[str, str] = ("", ""),
    limit: int = 100,
) -> tuple[RejectedRow, ...]:
    """Return rows that are set aside behind a (table, key), in that order; of one table only when it is named.

    At most MAX_REJECTIONS.  Raises StoreUnavailable, StoreError, SealError.
    """
    low = max(after, (table, ""))
    high = (table + "\x01", "") if table else END
    async with database.connection() as connection:
        rows = await connection.fetch(_REJECTIONS, *low, *high, min(limit, MAX_REJECTIONS))
    return tuple(_rejected(row, seal) for row in rows)


async def newest_evidence(database: Database) -> KeptEvidence | None:
    """Return what the last finished walk found.  Raises StoreUnavailable, StoreError."""
    async with database.connection() as connection:
        row = await connection.fetchrow(_EVIDENCE)
    if row is None:
        return None
    digests = tuple(TableDigest(*each) for each in orjson.loads(row["digests"]))
    first, last = row["serial_from"], row["serial_to"]
    evidence = Evidence(row["session"], first, last, digests, row["pages"], row["repaired"])
    return KeptEvidence(evidence, row["at"])


def _rejected(row: Row, seal: Seal) -> RejectedRow:
    place = Place(row["number"], row["key"])
    reason = open_row(seal, place, row["reason"]).decode()
    return RejectedRow(Rejection(row["serial"], *place, row["code"], reason), row["at"])
