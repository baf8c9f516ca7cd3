"""The composition root of a worker: every object of it is made and put together here, and nowhere else.

Order: open what others lean on first, listen last; stop in the reverse.  A worker is ready when it knows its prefixes
and has read the change feed; from then on a database that is away costs only the answers that are not in memory.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from time import perf_counter_ns, time
from typing import Any

from node.config import Settings
from node.counters import Counters, Place, lanes_of, slot_path
from node.handover import Handover
from node.leaving import Listeners, Parting, hold
from node.ledger.lanefile import Durability
from node.ledger.logfiles import LogFiles
from node.ledger.role import DIRECTORY as LEDGER
from node.readpath import ReadPath
from node.recording import Recording, open_recording, origin_of
from node.registry.patterns import SearchedTypes
from node.registry.searching import MAX_SEARCHES, ReverseLookup
from node.serving import DRAIN_SECONDS, Spawn, checks_of, serving_http, survive, task_group
from node.siblings import Siblings
from node.site import KEY_FILE, own_site
from node.sockets import Sockets
from node.store.database import StoreError, StoreUnavailable
from node.store.replica import ReadDatabase
from node.tls import is_on, server_context
from node.upstream.credentials import CredentialFiles
from node.web.audit import AuditApi
from node.web.health import Check
from node.web.reverse import ReverseApi
from node.web.routes import build_app
from node.web.status import StatusApi
from node.writepath import WritePath
from resolver.frontends.fast import FastHttp, supports_uvicorn
from resolver.frontends.server import HttpServer
from resolver.frontends.tcp import TcpConnection
from resolver.frontends.turn import Turn
from resolver.frontends.udp import UdpFrontEnd
from resolver.guard import Guard
from resolver.keys import ServerKey
from resolver.observe import Gauge, Tally
from resolver.plain import PlainReads
from resolver.recorder import HttpCount, NoRecorder, Recorder
from resolver.responder import Profile, Responder, Sign, Surroundings
from resolver.service import Resolver
from resolver.tiers.cluster import connect

CATCH_UP_SECONDS = 0.5  # that a successor waits for the change feed; questions wait meanwhile
_MAX_SIGNATURES = 64  # being made in threads at once; more wait

log = logging.getLogger(__name__)


class Worker:
    """One event loop that resolves, over HTTP, UDP and TCP, on the sockets of its slot."""

    def __init__(
        self,
        settings: Settings,
        slot: int,
        directory: Path,
        counters: Counters,
        spawn: Spawn,
        *,
        lane: int | None = None,
    ) -> None:
        """`slot` says whose sockets it has, `lane` where it counts (its slot's when None), `directory` where all meet.

        Whoever replaces a worker has its slot, and for as long as both are there a lane of its own.
        """
        self.settings = settings
        self._spawn = spawn
        self.tally = Tally(counters.cells)
        self.lane = slot if lane is None else lane
        self._directory = directory
        self.handover = Handover(directory, slot)
        self._all_slots: list[Counters] = []
        self.recording: Recording | None = None
        self.recorder: Recorder = NoRecorder()
        self.client = connect(settings.redis_url) if settings.redis_url else None
        self.reading = ReadPath(
            settings.database_url,
            self.client,
            self.tally,
            spawn,
            hot_entries=_hot_entries(settings),
            memory_entries=settings.memory_entries,
            replica_dsn=settings.database_read_url,
        )
        self.siblings = Siblings(directory, settings.workers, slot)
        self.writing = WritePath(
            settings,
            self.tally,
            spawn,
            self._written,
            self.reading.lately,
            self.reading.replica,
        )
        self.searching = ReadDatabase(
            settings.database_url, self.reading.replica, max_connections=MAX_SEARCHES
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
        self._tls = server_context(settings)
        key = ServerKey.load_or_make(settings.data_dir / KEY_FILE)
        self.origin = origin_of(settings) if settings.ledger else ""
        self.service = Resolver(
            self.reading.memory,
            self.reading.vault,
            self.reading.prefixes,
            own_site(settings.announced, key.public_key(), tls=is_on(settings)),
            case_sensitive=settings.case_sensitive,
        )
        self._sign = _signer(key)
        world = Surroundings(time, os.urandom, self._sign, slot, self.siblings.forward)
        self.responder = Responder(
            self.service,
            self.reading.hot_wire,
            self.tally,
            world,
            self.writing.registrar,
            self.writing.authenticator,
            profile=Profile(settings.native_profile),
            session_seconds=settings.session_seconds,
        )

    async def _open_recorder(self, stop: asyncio.Event) -> None:
        """Take this worker's lane of the ledger, if there is one."""
        if self.settings.ledger:
            is_homed = self.reading.prefixes.is_homed
            self.recording = await open_recording(
                self.settings, self.origin, self.lane, is_homed, self.tally.happened, stop
            )
        if self.recording is not None:
            self.recorder = self.recording
        for hot in (self.reading.hot_wire, self.reading.hot_http):
            hot.subject_of = self.recorder.subject

    async def prepare(self, stop: asyncio.Event) -> None:
        """Read what the first answer needs; waits for the database as long as it takes, or until told to stop."""
        reading = self.reading
        self._spawn(reading.records.run())
        self._spawn(reading.feed.run())
        if reading.redis:
            self._spawn(reading.redis.run())
        while not (stop.is_set() or reading.is_ready):  # noqa: ASYNC110  a poll or two long
            await asyncio.sleep(0.01)
        await self._open_recorder(stop)
        self.tick()
        self._spawn(self._tick_for_ever())

    @asynccontextmanager
    async def listening(
        self, sockets: Sockets, abandoned: Callable[[], None] = lambda: None
    ) -> AsyncIterator[None]:
        """Take the sockets over, and accept on all of them; at the end let what is under way come to its end.

        HTTP and the native protocol drain side by side, for DRAIN_SECONDS in all.  `abandoned` is called when a
        successor took the sockets and was lost.
        """
        loop = asyncio.get_running_loop()
        self._turn = Turn(self.recorder.natives, self.tally)
        async with self.siblings.listening(self.responder.respond, self._know_written):
            if await self.handover.succeed():
                await self._catch_up()
            async with self._serving_http(sockets) as http:
                datagrams = [self._udp(each) for each in sockets.udp]
                streams = [await loop.create_server(self._tcp, sock=each) for each in sockets.tcp]
                listeners = Listeners(http, datagrams, streams)
                self.handover.adopt(self._adopt)
                let_go, written = partial(self._let_go, listeners), self.reading.written_up_to
                async with self.handover.waiting(let_go, abandoned, written):
                    try:
                        yield
                    finally:
                        await self._end(listeners)

    def _serving_http(self, sockets: Sockets) -> AbstractAsyncContextManager[HttpServer]:
        app = build_app(
            self.service,
            self.responder,
            HttpCount(self.tally, self.recorder),
            self.checks,
            registrar=self.writing.registrar,
            login=self.writing.login,
            reverse=self._reverse(),
            hot=self.reading.hot_http,
            sign=self._sign,
            audit=self._audit(),
            status=self._status(),
        )
        idle_seconds, protocol = self.settings.idle_seconds, self._http_protocol()
        return serving_http(app, protocol, sockets.http, idle_seconds, self._tls)

    async def _catch_up(self) -> None:
        """Learn what the predecessor may have known: nothing is said from now on that is older than what it said."""
        with suppress(StoreError, StoreUnavailable, TimeoutError):
            async with asyncio.timeout(CATCH_UP_SECONDS):
                await self.reading.feed.drain()

    def _adopt(self, connection: socket.socket) -> None:
        """Go on with a TCP connection of the predecessor."""
        self._spawn_answer(hold(self._tcp, connection))

    def _let_go(self, listeners: Listeners) -> None:
        """A successor has come: what is in the sockets from now on is its own."""
        listeners.leave()
        self.siblings.give_way()

    async def _end(self, listeners: Listeners) -> None:
        """Accept nothing more, answer what has come, close."""
        parting = Parting(self.guard, self.handover.give) if self.handover.is_succeeded else None
        listeners.http.should_exit = parting is None
        listeners.close_streams()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while (parting and parting.goes_on()) or listeners.is_busy(self.guard):  # noqa: ASYNC110  nobody tells
                    await asyncio.sleep(0.01)
        listeners.http.should_exit = True
        self.guard.end()
        listeners.close()

    async def close(self) -> None:
        """Let go of Redis and Postgres."""
        if self.client is not None:
            await self.client.aclose()
        await self.searching.close()
        if self.recording is not None:
            self.recording.close()
        await self.writing.close()
        await self.reading.close()

    def checks(self) -> list[Check]:
        """How the worker stands."""
        return checks_of([self.tally.cells])

    def tick(self) -> None:
        """Once a second: what is renewed, forgotten and shown by the clock."""
        self.reading.tick()
        if self.recording is not None:
            self.recording.tick()
            self.tally.level(Gauge.CAMPAIGN, self.recording.campaign)
        self.guard.tick()
        self.guard.sweep(perf_counter_ns())

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.tick()

    def _audit(self) -> AuditApi | None:
        if not self.settings.ledger:
            return None
        files = LogFiles(self.settings.data_dir / LEDGER)
        return AuditApi(files, self.origin, self.writing.database, needs_nonce=True)

    def _status(self) -> StatusApi:
        settings = self.settings
        files = CredentialFiles.of(settings) if settings.sync_url else None
        return StatusApi(settings.node_prefix, files, self.searching, self._slots)

    def _slots(self) -> Sequence[Counters]:
        """The counters of all workers, mapped when somebody asks for the first time."""
        if not self._all_slots:
            lanes = lanes_of(self.settings.workers)
            self._all_slots = [Counters.open(slot_path(self._directory, each)) for each in lanes]
        return self._all_slots

    def _reverse(self) -> ReverseApi:
        types = SearchedTypes.of(self.settings.reverse_types)
        lookup = ReverseLookup(self.searching, types, self.reading.prefixes)
        return ReverseApi(lookup, self.writing.login, self.service)

    async def _written(self, changes: Iterable[tuple[bytes, int]]) -> None:
        """What this worker has committed is told before its caller: nobody reads anything older here afterwards."""
        told = list(changes)
        self._know_written(told)
        await self.siblings.tell(told)

    def _know_written(self, changes: Iterable[tuple[bytes, int]]) -> None:
        """Give nothing older than what was written, here or by a sibling; nor may a predecessor that is still there."""
        told = list(changes)
        self.reading.written(told)
        if told:
            self.handover.tell_written(max(serial for _, serial in told))

    def _spawn_answer(self, answer: Coroutine[Any, Any, None]) -> None:
        """Start the task of one answer: its failure is a fault to be told, and no reason to stop the worker."""
        self._spawn(survive(answer))

    def _udp(self, sock: socket.socket) -> UdpFrontEnd:
        front_end = UdpFrontEnd(
            self.responder,
            self.reading.hot_wire,
            self.guard,
            self.tally,
            self.recorder,
            self._spawn_answer,
            max_datagrams=self.settings.udp_max_datagrams,
        )
        front_end.listen(sock)
        return front_end

    def _tcp(self) -> TcpConnection:
        return TcpConnection(
            self.responder,
            self.reading.hot_wire,
            self.guard,
            self.tally,
            self.recorder,
            self._turn,
            self._spawn_answer,
        )

    def _http_protocol(self) -> type[FastHttp] | str:
        if not supports_uvicorn():
            log.error("this uvicorn is not one that the fast way knows; HTTP is served without it")
            return "httptools"
        members = {
            "hot": self.reading.hot_http,
            "guard": self.guard,
            "tally": self.tally,
            "recorder": self.recorder,
            "turn": Turn(self.recorder.http_all, self.tally),
            "reads": PlainReads(self.service, self.reading.hot_http),
            "spawn": staticmethod(self._spawn_answer),
        }
        return type("WorkerHttp", (FastHttp,), members)


async def serve_worker(
    settings: Settings,
    place: Place,
    directory: Path,
    sockets: Sockets,
    counters: Counters,
    stop: asyncio.Event,
    ready: Callable[[], None],
) -> None:
    """Resolve until told to stop."""
    async with task_group() as spawn:
        worker = Worker(settings, place.slot, directory, counters, spawn, lane=place.lane)
        try:
            await worker.prepare(stop)
            counters.occupy()
            async with worker.listening(sockets, stop.set):
                ready()
                await stop.wait()
        finally:
            await worker.close()


def _hot_entries(settings: Settings) -> int:
    """How many ready replies to keep: none where each answer waits until the disk has its record."""
    is_strict = settings.ledger and settings.ledger_durability == Durability.STRICT
    return 0 if is_strict else settings.hot_entries


def _signer(key: ServerKey) -> Sign:
    """Sign in threads, a bounded number at once, so that signing never holds up the event loop."""
    gate = asyncio.Semaphore(_MAX_SIGNATURES)

    async def sign(block: bytes, sha256: bool) -> bytes:
        async with gate:
            return await asyncio.to_thread(key.sign, block, sha256=sha256)

    return sign
