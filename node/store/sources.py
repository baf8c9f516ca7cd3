"""Sources: the daily tables of who asked, by address.  They hold personal data: see `prune_sources` for how long."""

from collections.abc import Iterable, Sequence
from datetime import date
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, TypeAlias

from node.store.database import Connection

Address: TypeAlias = "IPv4Address | IPv6Address"

OTHERS = IPv4Address(0)
"""In the place of an address: those that are not known, and those beyond the limit of a day."""

CLIENT_DAYS, SOURCE_DAYS = 3, 35  # kept, today included


class Client(NamedTuple):
    """A client's tag of one day, as a signed number, and its address."""

    day: date
    tag: int
    address: Address


class Source(NamedTuple):
    """What came from an address in a day, for a registered prefix (empty: none)."""

    prefix: str
    address: Address
    requests: int
    successes: int


class Listed(NamedTuple):
    """A line of a day's list; `source` is a network of /24 or /48, an address, or `others`."""

    prefix: str
    source: str
    requests: int
    successes: int


_LIST = """
select prefix, source, sum(requests)::bigint as requests, sum(successes)::bigint as successes
from (
    select prefix, requests, successes,
        case
            when address = '0.0.0.0' then 'others'
            when $3 then host(address)
            when family(address) = 4 then network(set_masklen(address, 24))::text
            else network(set_masklen(address, 48))::text
        end as source
    from source_day
    where day = $1 and ($2::text is null or prefix = $2)
) as shown
group by prefix, source
order by requests desc, prefix, source
offset $4 limit $5
"""


async def add_clients(connection: Connection, clients: Iterable[Client]) -> None:
    """Keep which addresses are behind tags; what is known already stays."""
    await connection.executemany(
        "insert into source_client (day, client, address) values ($1, $2, $3) on conflict do nothing",
        [tuple(client) for client in clients],
    )


async def read_clients(connection: Connection, day: date) -> dict[int, Address]:
    """Return the addresses behind a day's tags."""
    rows = await connection.fetch("select client, address from source_client where day = $1", day)
    return {row["client"]: row["address"] for row in rows}


async def put_sources(connection: Connection, day: date, sources: Iterable[Source]) -> None:
    """Put a day's table in the place of the one before, and forget its tags; inside a transaction.

    The day is closed with that, and `daycounts` may count it.
    """
    await connection.execute("delete from source_day where day = $1", day)
    await connection.executemany(
        "insert into source_day (day, prefix, address, requests, successes) values ($1, $2, $3, $4, $5)",
        [(day, *source) for source in sources],
    )
    await connection.execute("delete from source_client where day = $1", day)
    await connection.execute(
        "insert into closed_day (day) values ($1) on conflict (day) do update set told = false", day
    )


async def read_sources(
    connection: Connection, day: date, prefix: str | None = None, *, most: int = 1_000
) -> Sequence[Source]:
    """Return a day's sources, the busiest first: of one prefix, or of the node when it is None."""
    rows = await connection.fetch(
        "select coalesce($2, '') as prefix, address, sum(requests)::bigint as requests,"
        " sum(successes)::bigint as successes from source_day"
        " where day = $1 and ($2::text is null or prefix = $2)"
        " group by address order by 3 desc, 2 limit $3",
        day,
        prefix,
        most,
    )
    return [Source(*row.values()) for row in rows]


async def list_sources(
    connection: Connection, day: date, prefix: str | None, *, full: bool, skip: int, most: int
) -> Sequence[Listed]:
    """Return a part of a day's list, the busiest first, of one prefix or of all; networks, unless it is `full`."""
    rows = await connection.fetch(_LIST, day, prefix, full, skip, most)
    return [Listed(*row.values()) for row in rows]


async def prune_sources(connection: Connection, today: date) -> None:
    """Forget what is older than CLIENT_DAYS and SOURCE_DAYS."""
    await connection.execute(
        "delete from source_client where day <= $1::date - $2::int", today, CLIENT_DAYS
    )
    await connection.execute(
        "delete from source_day where day <= $1::date - $2::int", today, SOURCE_DAYS
    )
