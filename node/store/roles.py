"""Roles that only one process on a database may have, whatever machine it runs on: each is an advisory lock.

The lock lives as long as the connection that took it, and so does the role.
"""

from enum import IntEnum

from node.store.database import OwnConnection, store_errors

_TRY_LOCK = "select pg_try_advisory_lock($1)"
_THERE = "select 1"
_THERE_SECONDS = 5.0


class SoleRole(IntEnum):
    """The numbers of the locks."""

    SYNC = 0x69646E6F_73796E63  # "idnosync"


async def try_role(connection: OwnConnection, role: SoleRole) -> bool:
    """Return whether the role is this connection's now.  Raises StoreUnavailable, StoreError."""
    with store_errors():
        taken: bool = await connection.fetchval(_TRY_LOCK, int(role))
    return taken


async def check_there(connection: OwnConnection) -> None:
    """See that the connection lives, and so its lock.  Raises StoreUnavailable, StoreError."""
    with store_errors():
        await connection.fetchval(_THERE, timeout=_THERE_SECONDS)
