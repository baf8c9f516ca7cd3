"""Keys in Postgres: the records by which callers prove who they are, secret keys opened."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from node.store.database import Database, StoreError, StoreUnavailable
from node.store.records import is_secret
from resolver.keys.seal import Seal, SealError
from resolver.wire import HandleValue, decode_values

READ_SECONDS = 2.0

log = logging.getLogger(__name__)

# Only under prefixes that are known: whoever is let go loses the keys as well.
_KEYS = """
select coalesce(whole, wire) from record
where key = $1 and gone is null and exists (
    select 1 from prefix
    where prefix = record.prefix or record.prefix = '0.NA' and prefix = substr(record.key, 6)
)
"""


class RecordKeys:
    """Implements `resolver.registrar.KeyStore`."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    async def keys(self, handle: bytes) -> Sequence[HandleValue] | None:
        """Return all values of the record with this canonical key, secret keys in the clear; see `KeyStore`."""
        try:
            async with self._database.connection_for(READ_SECONDS) as connection:
                encoded: bytes | None = await connection.fetchval(_KEYS, handle)
        except StoreError as error:
            raise StoreUnavailable(str(error)) from error
        if encoded is None:
            return None
        opened = [self._opened(handle, value) for value in decode_values(encoded)]
        return tuple([value for value in opened if value is not None])

    def _opened(self, handle: bytes, value: HandleValue) -> HandleValue | None:
        """Return the value, a secret key in the clear; None for one that does not open: it proves nothing."""
        if not is_secret(value):
            return value
        try:
            return replace(value, data=self._seal.open(handle, value.index, value.data))
        except SealError as error:
            name = handle.decode("utf-8", "replace")
            log.error("secret key %d of %s cannot be used: %s", value.index, name, error)
            return None
