"""The second tier on a Redis or Valkey Cluster: a `RedisTier` for each *lot* of keys, of which every one stands alone.

A key belongs to one of LOTS lots.  All names of a lot hold its tag, so they lie in one hash slot: its state, its
entries and its tombstones move together, are lost together, and go into one script.  So each lot has an applied serial
of its own, and the laws of `resolver.tiers.redis` hold for it as for a whole Redis: a node that is away, empty, or back
from an old file costs its lots speed, and the others nothing.

Each node has a client of its own.  The client for clusters that redis-py has reads the whole topology and the table of
commands anew whenever one node fails, and holds up the questions to all others meanwhile.
"""

import asyncio
from binascii import crc32, crc_hqx
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import RedisError

from resolver.answer import Stored
from resolver.freshness import Freshness
from resolver.source import Give, Source
from resolver.tiers import redisclient
from resolver.tiers.redis import RedisTier, Spawn
from resolver.tiers.redisclient import Client

SCHEME_SUFFIX = "+cluster"  # redis+cluster:// and rediss+cluster://, with several host:port
LOTS = 12  # the same for all workers and for ever, as it is in the names: evenly on 2, 3, 4, 6 and 12 nodes
SLOTS = 16_384
_MAP_SECONDS = (
    1.0  # that one node has to tell who has which slots, and between two times that it is asked
)
_PAUSE_SECONDS = 1.0  # that a node is left alone after an error, by all lots that it has
_PORT = 6379

Address = tuple[str, int]
Slots = dict[range, Address]


def lot_of(key: bytes) -> int:
    """Return which lot a canonical key belongs to."""
    return crc32(key) % LOTS


def _is_in(lot: int, key: bytes) -> bool:
    return lot_of(key) == lot


def _tags() -> Iterator[tuple[str, int]]:
    """Yield for each lot the smallest number whose slot lies in its part of all slots, so that nodes share evenly."""
    for lot in range(LOTS):
        number = 0
        while (slot := crc_hqx(b"%d" % number, 0) % SLOTS) * LOTS // SLOTS != lot:
            number += 1
        yield f"{{{number}}}:", slot


TAGS = tuple(_tags())
"""For each lot what its names hold, and the hash slot that this gives (cluster specification, "Hash tags")."""


class Cluster:
    """The nodes of a cluster: a client for each, and which of them has a slot; `run` keeps that true."""

    def __init__(self, url: str) -> None:
        """`url` names some of the nodes: the others are found through them.  They connect when they are first used."""
        self._parts = urlsplit(url)
        hosts = self._parts.netloc.rpartition("@")[2].split(",")
        self._seeds = [_address(host) for host in hosts if host]
        self._clients: dict[Address, Client] = {}
        self._slots: Slots = {}
        self._left_until: dict[Address, float] = {}  # on the clock of the event loop
        self._known = asyncio.Event()  # who has which slots
        self._doubted = asyncio.Event()
        self._doubted.set()

    def lot(self, number: int) -> "Lot":
        """Return what speaks with the node that has this lot, whichever that is."""
        return Lot(self, TAGS[number][1])

    async def ask(self, slot: int, question: Callable[[Client], Awaitable[Any]]) -> Any:
        """Put a question to the node that has a slot.

        Raises RedisError, OSError: at once when that node has failed another question within the last second.
        """
        await self._known.wait()
        address, clock = self._address_of(slot), asyncio.get_running_loop().time
        if clock() < self._left_until.get(address, 0.0):
            raise Unreachable("this node has just failed")
        try:
            return await question(self._client(address))
        except (Unreachable, OSError, asyncio.CancelledError):  # a time-out comes as a cancellation
            self._left_until[address] = clock() + _PAUSE_SECONDS
            self._doubted.set()
            raise
        except RedisError:
            self._doubted.set()
            raise

    async def run(self) -> None:
        """Learn who has which slots, at first and whenever that is in doubt, until cancelled."""
        while True:
            await self._doubted.wait()
            self._doubted.clear()
            await self._learn()
            await asyncio.sleep(_MAP_SECONDS)

    async def aclose(self) -> None:
        """Close all connections."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    def _address_of(self, slot: int) -> Address:
        for slots, address in self._slots.items():
            if slot in slots:
                return address
        self._doubted.set()
        raise Unreachable("no node of the cluster has this slot")

    async def _learn(self) -> None:
        for address in dict.fromkeys([*self._slots.values(), *self._seeds]):
            with suppress(RedisError, OSError, TimeoutError, ValueError, TypeError, IndexError):
                async with asyncio.timeout(_MAP_SECONDS):
                    told = await self._client(address).execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]
                self._slots = _read_slots(told, address)
                self._known.set()
                return
        self._doubted.set()

    def _client(self, address: Address) -> Client:
        if (client := self._clients.get(address)) is None:
            client = self._clients[address] = redisclient.connect(self._url_of(address))
        return client

    def _url_of(self, address: Address) -> str:
        login, at, _ = self._parts.netloc.rpartition("@")
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        scheme = self._parts.scheme.removesuffix(SCHEME_SUFFIX)
        where = f"{login}{at}{host}:{address[1]}"
        return urlunsplit(self._parts._replace(scheme=scheme, netloc=where))


class Lot:
    """What a `RedisTier` uses of a client, for names of one slot."""

    def __init__(self, cluster: Cluster, slot: int) -> None:
        self._cluster = cluster
        self._slot = slot

    async def fetch(self, names: Sequence[bytes]) -> Any:
        """Return the values of these names."""
        return await self._cluster.ask(self._slot, lambda client: client.fetch(names))

    async def get(self, name: bytes) -> Any:
        """Return the value of a name."""
        return await self._cluster.ask(self._slot, lambda client: client.get(name))

    def register_script(self, text: str) -> Callable[..., Awaitable[Any]]:
        """Return what runs a script on the node that has the slot then."""

        async def run(*, keys: Sequence[bytes], args: Sequence[Any]) -> Any:
            return await self._cluster.ask(
                self._slot, lambda client: client.register_script(text)(keys=keys, args=args)
            )

        return run


class ClusterTier:
    """The tiers of all lots, as one; see `RedisTier`, which each of them is."""

    def __init__(
        self,
        below: Source,
        freshness: Freshness,
        cluster: Cluster,
        *,
        spawn: Spawn,
        on_error: Callable[[], None],
    ) -> None:
        self._cluster = cluster
        self._lots = tuple(
            RedisTier(
                below,
                freshness,
                cast(Client, cluster.lot(number)),  # all of it that is used
                spawn=spawn,
                on_error=on_error,
                tag=tag,
                holds=partial(_is_in, number),
            )
            for number, (tag, _) in enumerate(TAGS)
        )

    @property
    def is_up(self) -> bool:
        """True while all nodes answer."""
        return all(lot.is_up for lot in self._lots)

    async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
        """Return the shared record, or ask below; see `RedisTier`."""
        return await self._lots[lot_of(key)].lookup(key, at_least=at_least)

    async def gather(self, keys: Sequence[bytes], give: Give) -> None:
        """Ask all lots at once; see `Source`."""
        lots: dict[int, list[bytes]] = {}
        for key in keys:
            lots.setdefault(lot_of(key), []).append(key)
        calls = (self._lots[lot].gather(some, give) for lot, some in lots.items())
        ended = await asyncio.gather(*calls, return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error

    def serve(self, epoch: str) -> None:
        """Share the records of this life of the database, and none of another one's."""
        for lot in self._lots:
            lot.serve(epoch)

    def changed(self) -> None:
        """Say that the freshness window has grown: each lot's applied serial moves, whether it has changes or not."""
        for lot in self._lots:
            lot.changed()

    async def run(self) -> None:
        """Apply changes and put records, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._cluster.run())
            for lot in self._lots:
                tasks.create_task(lot.run())


def connect(url: str) -> Client | Cluster:
    """Return a client of the server, or of the cluster, at this URL; it connects when it is first used."""
    return (
        Cluster(url) if urlsplit(url).scheme.endswith(SCHEME_SUFFIX) else redisclient.connect(url)
    )


def shared_tier(
    below: Source,
    freshness: Freshness,
    client: Client | Cluster,
    *,
    spawn: Spawn,
    on_error: Callable[[], None],
) -> RedisTier | ClusterTier:
    """Return the tier for what `connect` gave."""
    if isinstance(client, Cluster):
        return ClusterTier(below, freshness, client, spawn=spawn, on_error=on_error)
    return RedisTier(below, freshness, client, spawn=spawn, on_error=on_error)


def _address(text: str) -> Address:
    parts = urlsplit(f"//{text}")
    return parts.hostname or "localhost", parts.port or _PORT


def _read_slots(told: Any, asked: Address) -> Slots:
    """Read an answer to CLUSTER SLOTS: first and last slot, and the primary that has them, in each line.

    A node that does not know its own address says nothing, and is the one that was asked.
    """
    found = {}
    for first, last, (host, port, *_), *_ in told:
        name = host.decode() if isinstance(host, bytes) else host
        found[range(first, last + 1)] = (name or asked[0], int(port))
    return found
