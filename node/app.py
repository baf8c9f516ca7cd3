"""The composition root: every object of a worker and of the keeper is made and put together here, and nowhere else.

Order: open what others lean on first, listen last; stop in the reverse.  A worker is ready when it knows its prefixes
and has read the change feed; from then on a database that is away costs only the answers that are not in memory.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from time import perf_counter_ns, time
from typing import Any

from fastapi import FastAPI

from node.address import PublicAddress
from node.config import Settings
from node.counters import Counters
from node.metrics import exposition
from node.readpath import ReadPath
from node.sockets import Sockets
from node.store.changes import prune_changes
from node.store.database import Database, StoreError, StoreUnavailable
from node.web.health import Check
from node.web.routes import build_admin_app, build_app
from resolver.frontends.fast import FastHttp, HttpServer, supports_uvicorn
from resolver.frontends.tcp import TcpConnection
from resolver.frontends.udp import UdpFrontEnd
from resolver.guard import Guard
from resolver.keys import ServerKey
from resolver.observe import Gauge, Tally, gauge_cell
from resolver.responder import Responder, Sign, Surroundings
from resolver.service import Resolver
from resolver.tiers.redis import connect
from resolver.wire import (
    RsaPublicKey,
    SiteData,
    SiteInterface,
    SiteServer,
    encode_public_key,
)

KEY_FILE = "server-key.pem"
FEED_SECONDS = 5  # a change feed that was not read for so long makes the worker unready
DRAIN_SECONDS = 5.0
PRUNE_SECONDS = 600.0
_MAX_SIGNATURES = 64  # being made in threads at once; more wait

Spawn = Callable[[Coroutine[Any, Any, None]], object]

log = logging.getLogger(__name__)


class Worker:
    """One event loop that resolves, over HTTP, UDP and TCP, on the sockets of its slot."""

    def __init__(self, settings: Settings, counters: Counters, spawn: Spawn) -> None:
        self.settings = settings
        self._spawn = spawn
        self.tally = Tally(counters.cells)
        self.client = connect(settings.redis_url) if settings.redis_url else None
        self.reading = ReadPath(
            settings.database_url,
            self.client,
            self.tally,
            spawn,
            hot_entries=settings.hot_entries,
            memory_entries=settings.memory_entries,
        )
        self.guard = Guard(
            self.tally,
            connections_max=settings.connections_max,
            connections_per_source=settings.connections_per_source,
            request_seconds=settings.http_header_seconds,
            idle_seconds=settings.idle_seconds,
            udp_answers_per_second=settings.udp_answers_per_second,
            udp_answers_burst=settings.udp_answers_burst,
        )
        key = ServerKey.load_or_make(settings.data_dir / KEY_FILE)
        self.service = Resolver(
            self.reading.memory,
            self.reading.vault,
            self.reading.prefixes,
            own_site(settings.announced, key.public_key()),
            case_sensitive=settings.case_sensitive,
        )
        world = Surroundings(time, os.urandom, _signer(key))
        self.responder = Responder(self.service, self.reading.hot_wire, self.tally, world)

    async def prepare(self, stop: asyncio.Event) -> None:
        """Read what the first answer needs; waits for the database as long as it takes, or until told to stop."""
        reading = self.reading
        self._spawn(reading.records.run())
        self._spawn(reading.feed.run())
        if reading.redis:
            self._spawn(reading.redis.run())
        while not (stop.is_set() or reading.is_ready):  # noqa: ASYNC110  a poll or two long
            await asyncio.sleep(0.01)
        self.tick()
        self._spawn(self._tick_for_ever())

    @asynccontextmanager
    async def listening(self, sockets: Sockets) -> AsyncIterator[None]:
        """Accept on all sockets; at the end stop accepting, and let what is under way come to its end.

        HTTP and the native protocol drain side by side, for DRAIN_SECONDS in all.
        """
        loop = asyncio.get_running_loop()
        datagrams = [
            await loop.create_datagram_endpoint(self._udp, sock=each) for each in sockets.udp
        ]
        streams = [await loop.create_server(self._tcp, sock=each) for each in sockets.tcp]
        app = build_app(
            self.service, self.responder, self.tally, self.checks, hot=self.reading.hot_http
        )
        protocol = self._http_protocol()
        async with _http(app, protocol, sockets.http, self.settings.idle_seconds) as http:
            try:
                yield
            finally:
                http.should_exit = True
                for server in streams:
                    server.close()
                await self._drain(datagrams)
                for transport, _ in datagrams:
                    transport.close()

    async def _drain(self, datagrams: Sequence[tuple[Any, UdpFrontEnd]]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._is_busy(datagrams):  # noqa: ASYNC110  nobody tells when nothing is left
                    await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Let go of Redis and Postgres."""
        if self.client is not None:
            await self.client.aclose()
        await self.reading.close()

    def checks(self) -> list[Check]:
        """How the worker stands."""
        return _checks([self.tally.cells])

    def tick(self) -> None:
        """Once a second: what is renewed, forgotten and shown by the clock."""
        self.reading.tick()
        self.guard.tick()
        self.guard.sweep(perf_counter_ns())

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.tick()

    def _is_busy(self, datagrams: Sequence[tuple[Any, UdpFrontEnd]]) -> bool:
        return self.guard.is_busy() or any(front_end.is_busy() for _, front_end in datagrams)

    def _spawn_answer(self, answer: Coroutine[Any, Any, None]) -> None:
        """Start the task of one answer: its failure is a fault to be told, and no reason to stop the worker."""
        self._spawn(_survive(answer))

    def _udp(self) -> UdpFrontEnd:
        return UdpFrontEnd(
            self.responder,
            self.reading.hot_wire,
            self.guard,
            self.tally,
            self._spawn_answer,
            max_datagrams=self.settings.udp_max_datagrams,
        )

    def _tcp(self) -> TcpConnection:
        return TcpConnection(
            self.responder, self.reading.hot_wire, self.guard, self.tally, self._spawn_answer
        )

    def _http_protocol(self) -> type[FastHttp] | str:
        if not supports_uvicorn():
            log.error("this uvicorn is not one that the fast way knows; HTTP is served without it")
            return "httptools"
        members = {"hot": self.reading.hot_http, "guard": self.guard, "tally": self.tally}
        return type("WorkerHttp", (FastHttp,), members)


async def serve_worker(
    settings: Settings,
    _slot: int,
    sockets: Sockets,
    counters: Counters,
    stop: asyncio.Event,
    ready: Callable[[], None],
) -> None:
    """Resolve until told to stop."""
    async with _task_group() as spawn:
        worker = Worker(settings, counters, spawn)
        try:
            await worker.prepare(stop)
            async with worker.listening(sockets):
                ready()
                await stop.wait()
        finally:
            await worker.close()


async def serve_keeper(
    settings: Settings,
    sockets: Sockets,
    readers: Sequence[Counters],
    stop: asyncio.Event,
    ready: Callable[[], None],
) -> None:
    """Serve the admin listener, and do what one process must do for all."""

    def checks() -> list[Check]:
        return _checks([each.cells for each in readers])

    async with _task_group() as spawn:
        database = Database(settings.database_url, max_connections=2)
        spawn(_prune_for_ever(database))
        app = build_admin_app(lambda: exposition(readers), checks)
        try:
            async with _http(app, "httptools", sockets.admin, settings.idle_seconds):
                ready()
                await stop.wait()
        finally:
            await database.close()


def own_site(address: PublicAddress, key: RsaPublicKey) -> SiteData:
    """Return this server's HS_SITE.

    TCP stands first, for administration and queries both: the Chinese clients take the first interface for everything.
    """
    packed = ip_address(address.host).packed
    interfaces = (
        SiteInterface(3, 1, address.native_port),
        SiteInterface(2, 0, address.native_port),
        SiteInterface(3, 2, address.http_port),
    )
    server = SiteServer(1, packed.rjust(16, b"\0"), encode_public_key(key), interfaces)
    return SiteData(2, 11, 1, True, False, 2, b"", ((b"desc", b"idnode"),), (server,))


async def _survive(answer: Coroutine[Any, Any, None]) -> None:
    try:
        await answer
    except Exception:
        log.exception("an answer failed")


@asynccontextmanager
async def _task_group() -> AsyncIterator[Spawn]:
    """A task group that ends with its block: what still runs then is cancelled."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks.create_task
            raise _Done
    except* _Done:
        pass


class _Done(Exception):
    """The block of a task group has come to its end."""


@asynccontextmanager
async def _http(
    app: FastAPI, protocol: type[FastHttp] | str, sockets: Sequence[Any], idle_seconds: int
) -> AsyncIterator[HttpServer]:
    """Serve HTTP; what is under way at the end has DRAIN_SECONDS, from when the server was told to exit."""
    server = HttpServer.of(app, protocol, idle_seconds=idle_seconds, drain_seconds=DRAIN_SECONDS)
    serving = asyncio.create_task(server.serve(sockets=list(sockets)))
    try:
        yield server
    finally:
        server.should_exit = True
        await serving


async def _prune_for_ever(database: Database) -> None:
    """Drop changes that every worker has read long ago."""
    while True:
        with suppress(StoreError, StoreUnavailable):  # the next round does it
            await prune_changes(database)
        await asyncio.sleep(PRUNE_SECONDS)


def _signer(key: ServerKey) -> Sign:
    """Sign in threads, a bounded number at once, so that signing never holds up the event loop."""
    gate = asyncio.Semaphore(_MAX_SIGNATURES)

    async def sign(block: bytes, sha256: bool) -> bytes:
        async with gate:
            return await asyncio.to_thread(key.sign, block, sha256=sha256)

    return sign


def _checks(slots: Sequence[Any]) -> list[Check]:
    """How workers stand, by the levels they keep in their counters."""
    now = time()

    def lowest(gauge: Gauge) -> int:
        return min((cells[gauge_cell(gauge)] for cells in slots), default=0)

    age = int(now - lowest(Gauge.FEED_READ_AT))
    connected = lowest(Gauge.POOL_SIZE) > 0
    shared = lowest(Gauge.REDIS_UP) > 0
    return [
        Check(
            "postgres",
            connected,
            "connected" if connected else "not reached; answers come from memory only",
        ),
        Check(
            "change feed",
            age <= FEED_SECONDS,
            f"read {age} s ago" if age < 86_400 else "not read yet",
        ),
        Check(
            "redis", True, "in use" if shared else "not in use; answers cost more, none is wrong"
        ),
    ]
