"""Sealing what was stored in the clear: secret keys written by a version that did not seal them yet.

It is done once, after the schema has been brought up to date and before anything serves: until a key is sealed it
proves nothing, and the next write of its record would take it into the history for ever.
"""

from dataclasses import replace

from node.store.database import Connection, connect, store_errors
from node.store.records import is_secret
from resolver.keys.seal import Seal
from resolver.wire import HandleValue, decode_values, encode_values

RECORDS_AT_ONCE = 1_000

_IS_DONE = "select done_at is not null from sealing"
_DONE = "update sealing set done_at = now()"
_NEXT = """
select key, whole from record where whole is not null and key > $1 order by key limit $2
"""
_SEAL = "update record set whole = $3, loaded = null where key = $1 and whole = $2"


async def seal_stored(dsn: str, seal: Seal) -> int:
    """Seal the secret keys that are not, and return in how many records; the second time there is nothing to do.

    No version and no change: nobody could read them before or after.  A record that is written meanwhile is left to
    the next start.  Raises StoreUnavailable, StoreError.
    """
    connection = await connect(dsn)
    try:
        with store_errors():
            if await connection.fetchval(_IS_DONE):
                return 0
            sealed = await _seal_all(connection, seal)
            await connection.execute(_DONE)
            return sealed
    finally:
        connection.terminate()


async def _seal_all(connection: Connection, seal: Seal) -> int:
    last, sealed = b"", 0
    while rows := await connection.fetch(_NEXT, last, RECORDS_AT_ONCE):
        for key, whole in rows:
            values = decode_values(whole)
            if any(_is_open(value) for value in values):
                kept = encode_values([_sealed(seal, key, value) for value in values])
                await connection.execute(_SEAL, key, whole, kept)
                sealed += 1
        last = rows[-1][0]
    return sealed


def _is_open(value: HandleValue) -> bool:
    return is_secret(value) and not Seal.is_sealed(value.data)


def _sealed(seal: Seal, key: bytes, value: HandleValue) -> HandleValue:
    if not _is_open(value):
        return value
    return replace(value, data=seal.seal(key, value.index, value.data))
