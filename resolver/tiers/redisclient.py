"""The client of Redis or Valkey: redis-py's, and a quicker way to fetch many values."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

CONNECT_SECONDS = 1.0

_pack: Callable[[tuple[str | bytes, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # its stub says: one


class Client(Redis):
    """redis-py's client, with `fetch`.

    For each of its own calls a connection is borrowed, looked at, given back and reported on, which costs more than
    twenty values do.  `fetch` keeps the connections that it has borrowed, one for each fetch under way.
    """

    def __init__(self, **options: Any) -> None:
        """Take the options of redis-py."""
        super().__init__(**options)
        self._kept: list[AbstractConnection] = []

    async def fetch(self, names: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of these names, None for those that have none (MGET).

        Raises RedisError, OSError.  The caller sets the time limit; a fetch that is cancelled loses its connection.
        """
        connection = await self._borrow()
        try:
            await connection.send_packed_command(_pack(("MGET", *names)))
            values: list[bytes | None] = await connection.read_response()
        except BaseException:
            await self._give_up(connection)
            raise
        self._kept.append(connection)
        return values

    async def _borrow(self) -> AbstractConnection:
        """Return a connection on which nothing is left to read: of one that was closed, the end is."""
        while self._kept:
            connection = self._kept.pop()
            try:
                if not await connection.can_read():
                    return connection
            except (RedisError, OSError):
                pass
            await self._give_up(connection)
        borrowed: AbstractConnection = await self.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        return borrowed

    async def _give_up(self, connection: AbstractConnection) -> None:
        await connection.disconnect(nowait=True)
        await self.connection_pool.release(connection)


def connect(url: str) -> Client:
    """Return a client of the Redis or Valkey at this URL; it connects when it is first used.

    Every call gets its time limit from who makes it: the client's own one swallows cancellation now and then (before
    Python 3.12, `asyncio.wait_for` returns a result that comes with the cancellation), and a task that cannot be ended
    goes on.
    """
    return cast(
        Client,
        Client.from_url(url, socket_timeout=None, socket_connect_timeout=CONNECT_SECONDS),
    )
