"""Resending: rows that the top-level node did not take are sent once more as they are, with serials of their own.

It is for when the reason has gone away at the other end; a row that is corrected is sent again by itself.
"""

from node.store.database import Database

RESENT_AT_ONCE = 500  # rows of one transaction: other writers wait for it

# The counter is taken first, against the rule for writers: who has it has no other lock, so waits for nobody, and what
# is read after it are the newest rows, since whoever writes one numbers it before it is seen.
_HOLD = "select serial from change_counter for update"
_RESEND = """
with line as (
    select number, key, row_number() over (order by number, key) as nth
    from (
        select number, key from sync_rejection
        where ($1 = '' or number = $1) and ($2 = '' or key = $2) and (number, key) > ($3, $4)
        order by number, key limit $5
    ) as aside
), taken as (
    update change_counter set serial = serial + (select count(*) from line) returning serial
), appended as (
    insert into change (serial, key, kind, number, body)
    select taken.serial - (select count(*) from line) + line.nth, convert_to(line.key, 'UTF8'),
        case line.number when '9' then 0 else 2 end,
        case line.number when '9' then null else line.number end, stored.body
    from taken, line left join sync_row as stored using (number, key)
)
select number, key from line order by nth
"""


async def send_again(database: Database, *, table: str = "", key: str = "") -> int:
    """Number a change for each row that is set aside (of one table, or with one key, when named); return how many.

    Raises StoreUnavailable, StoreError.
    """
    count, after = 0, ("", "")
    while True:
        async with database.transaction() as connection:
            await connection.execute(_HOLD)
            rows = await connection.fetch(_RESEND, table, key, *after, RESENT_AT_ONCE)
        count += len(rows)
        if len(rows) < RESENT_AT_ONCE:
            return count
        after = (rows[-1]["number"], rows[-1]["key"])
