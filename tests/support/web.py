"""The public HTTP application over a record store in memory, and a server that runs it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from time import time

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from node.ledger.logfiles import LogFiles
from node.registry.patterns import SearchedTypes
from node.registry.searching import ReverseLookup
from node.store.database import Database
from node.web.audit import AuditApi
from node.web.health import Check
from node.web.reverse import ReverseApi
from node.web.routes import build_app
from node.web.status import StatusApi
from resolver.freshness import Freshness
from resolver.hot.http import HotHttp
from resolver.hot.wire import HotWire
from resolver.observe import CELL_COUNT, RESOLUTIONS, Tally
from resolver.recorder import HttpCount, NoRecorder
from resolver.responder import Responder, Surroundings
from resolver.service import Resolver
from resolver.wire import RsaPublicKey, SiteData, SiteInterface, SiteServer, encode_public_key
from tests.support.identities import Gate
from tests.support.memory import MemoryStore
from tests.support.memory_registrar import MemoryRegistrar

SITE = SiteData(
    major=2,
    minor=11,
    serial=1,
    primary=True,
    multi_primary=False,
    servers=(
        SiteServer(
            1,
            bytes(12) + bytes([127, 0, 0, 1]),
            encode_public_key(RsaPublicKey(65_537, 2**2047 + 1)),
            (SiteInterface(3, 1, 2641), SiteInterface(2, 0, 2641), SiteInterface(3, 2, 8000)),
        ),
    ),
)


STRANGER = (
    "192.0.2.77"  # the peer that clients seem to be: another machine, so plain HTTP is not secure
)


def _no_lookup(store: MemoryStore) -> ReverseLookup:
    """Return a look-up that is switched off; its database is never asked."""
    return ReverseLookup(Database(""), SearchedTypes.of(()), store)


def _no_log() -> AuditApi:
    """Return the endpoints of a log that has published nothing; its database is never asked."""
    return AuditApi(LogFiles(Path("no-such-log")), "log.example", Database(""), needs_nonce=True)


async def _unsigned(_block: bytes, _sha256: bool) -> bytes:
    return bytes(256)


async def _signed(block: bytes, _sha256: bool) -> bytes:
    return b"signed " + block


def _no_randomness(count: int) -> bytes:
    return bytes(count)


@dataclass
class Web:
    """An application with all that it was made of."""

    store: MemoryStore = field(default_factory=MemoryStore)
    site: SiteData = SITE
    checks: list[Check] = field(default_factory=list)
    tally: Tally = field(default_factory=lambda: Tally([0] * CELL_COUNT))
    hot: HotHttp = field(
        default_factory=lambda: HotHttp(Freshness(), max_entries=100, max_bytes=100_000)
    )

    def __post_init__(self) -> None:
        service = Resolver(self.store, self.store, self.store, self.site)
        hot = HotWire(Freshness(), max_entries=0, max_bytes=0)
        world = Surroundings(time, _no_randomness, _unsigned)
        self.gate, self.registrar = Gate(), MemoryRegistrar(self.store)
        self.gate.identities.values = self.store.values_by_key
        self.responder = Responder(
            service, hot, self.tally, world, self.registrar, self.gate.authenticator
        )
        self.app: FastAPI = build_app(
            service,
            self.responder,
            HttpCount(self.tally, NoRecorder()),
            lambda: self.checks,
            registrar=self.registrar,
            login=self.gate.login,
            reverse=ReverseApi(_no_lookup(self.store), self.gate.login, service),
            hot=self.hot,
            sign=_signed,
            audit=_no_log(),
            status=StatusApi("88.118", None, Database(""), list),
        )

    def client(self, *, secure: bool = False, peer: str = STRANGER) -> httpx.AsyncClient:
        """Return a client of the application, without sockets."""
        scheme = "https" if secure else "http"
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(peer, 40_000))
        return httpx.AsyncClient(transport=transport, base_url=f"{scheme}://idnode.test")

    def counted(self) -> dict[tuple[str, ...], int]:
        """Return what was counted: (protocol, scheme, status, tier) -> how often."""
        return {
            tuple(label.value for label in labels): self.tally.cells[position]
            for position, labels in enumerate(RESOLUTIONS)
            if self.tally.cells[position]
        }


def from_afar(app: ASGIApp) -> ASGIApp:
    """Return the application as another machine's clients see it."""

    async def seen(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "client": (STRANGER, 40_000)}, receive, send)

    return seen


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[tuple[str, int]]:
    """Serve an application on a free port; yield its address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        config = uvicorn.Config(
            app, log_config=None, lifespan="off", ws="none", http="httptools", access_log=False
        )
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[:2]  # it listens already; who comes too early waits
        finally:
            server.should_exit = True
            await running
