"""The admin application over a real database, with keys and tokens that a test puts there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from fastapi import FastAPI

from node.readpath import ReadPath
from node.registry.registrar import RecordRegistrar
from node.store.database import Database
from node.web.records import RecordsApi
from node.web.routes import build_admin_app
from resolver.authentication import TOKEN_MARK, Token
from resolver.observe import CELL_COUNT, Tally
from resolver.registrar import Operation
from resolver.service import Resolver
from resolver.wire import HandleValue
from tests.support.identities import Gate
from tests.support.registry import ADMIN, OTHER, admin, do, home, registrar_on
from tests.support.tasks import spawning
from tests.support.web import SITE

OPERATOR = f"{TOKEN_MARK}operator"
ADMIN_NAME, ADMIN_SECRET = "300:88.1/ADMIN", "geheim"
OTHER_NAME, OTHER_SECRET = "300:88.1/OTHER", "anders"
PREFIXES = ("88.1", "OID:1.2.156", "GS1:9506000", "DID:BID", "ECODE:11234")


@dataclass
class Office:
    """The application, and what is behind it."""

    app: FastAPI
    registrar: RecordRegistrar
    gate: Gate

    def client(
        self, *, token: str = "", basic: tuple[str, str] | None = None, peer: str = "127.0.0.1"
    ) -> httpx.AsyncClient:
        """Return a client without sockets, as somebody or (by default) as nobody."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(peer, 40_000))
        auth = httpx.BasicAuth(basic[0].replace(":", "%3A"), basic[1]) if basic else None
        return httpx.AsyncClient(
            transport=transport, base_url="http://admin.test", headers=headers, auth=auth
        )


@asynccontextmanager
async def open_office(database: Database, url: str) -> AsyncIterator[Office]:
    """Home the prefixes, let `88.1` be administered by ADMIN, and give everybody a key."""
    await home(database, *PREFIXES)
    tally, gate = Tally([0] * CELL_COUNT), Gate()
    for caller, secret in ((ADMIN, ADMIN_SECRET), (OTHER, OTHER_SECRET)):
        key = HandleValue(300, b"HS_SECKEY", secret.encode(), permissions=12)
        gate.identities.put(caller.handle.decode(), key)
    gate.identities.put_token(OPERATOR, Token(b"0.NA/ROOT", 0, is_operator=True))
    async with spawning() as spawn, registrar_on(database) as registrar:
        await do(registrar, Operation.CREATE, "0.NA/88.1", admin(ADMIN))
        reading = ReadPath(url, None, tally, spawn, hot_entries=1, memory_entries=1)
        try:
            spawn(reading.records.run())
            spawn(reading.feed.run())
            async with asyncio.timeout(10):
                while not reading.is_ready:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
            service = Resolver(reading.memory, reading.vault, reading.prefixes, SITE)
            records = RecordsApi(registrar, gate.login, service)
            yield Office(build_admin_app(bytes, list, records=records), registrar, gate)
        finally:
            await reading.close()
