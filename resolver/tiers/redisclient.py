"""The client of Redis or Valkey: redis-py's, and a quicker way to fetch many values."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

CONNECT_SECONDS = 1.0
KEPT = 8  # connections; a stall lets more fetches be under way, whose connections all others may have afterwards

_pack: Callable[[tuple[str | bytes, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # its stub says: one


class Client(Redis):
    """redis-py's client, with `fetch`.

    For each of its own calls a connection is borrowed, looked at, given back and reported on.  `fetch` keeps those that
    it has borrowed, one for each fetch under way, up to KEPT.
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
            await self._give_up(connection, *self._kept)
            raise
        await self._keep(connection)
        return values

    async def _borrow(self) -> AbstractConnection:
        """Return a connection; of those that are kept one on which nothing is left to read, as the end would be."""
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

    async def _keep(self, connection: AbstractConnection) -> None:
        if len(self._kept) < KEPT:
            self._kept.append(connection)
        else:
            await self.connection_pool.release(connection)

    async def _give_up(self, *connections: AbstractConnection) -> None:
        """Close these: one that broke, and all others with it, which are as good as broken if their server is gone."""
        self._kept = [each for each in self._kept if each not in connections]
        for each in connections:
            await each.disconnect(nowait=True)
            await self.connection_pool.release(each)


def connect(url: str) -> Client:
    """Return a client of the Redis or Valkey at this URL; it connects when it is first used.

    Every call gets its time limit from who makes it: the client's own one swallows cancellation now and then (before
    Python 3.12, `asyncio.wait_for` returns a result that comes with the cancellation), and a task that cannot be ended
    goes on.  Nor does the server announce its maintenance: a kept connection on which that waits would count as broken,
    and redis-py would lend dead ones for its sake.
    """
    return cast(
        Client,
        Client.from_url(
            url,
            socket_timeout=None,
            socket_connect_timeout=CONNECT_SECONDS,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        ),
    )
