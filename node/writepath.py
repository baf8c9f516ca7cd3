"""WritePath: everything that a process needs to write records and to know who asks, put together once."""

import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from uuid import uuid4

from node.address import PublicAddress
from node.config import Settings
from node.model.rule import ModelError
from node.model.site import IpType, Site
from node.registry.objects import Objects
from node.registry.preparation import Policy
from node.registry.registrar import RecordRegistrar
from node.sealing import load_seal
from node.store.database import Database
from node.store.keys import RecordKeys
from node.store.listing import LIST_CONNECTIONS, LIST_SESSION
from node.store.replica import ReadDatabase, Replica
from node.store.synced import SyncedRows
from node.store.tokens import TokenTable
from node.store.writing import SESSION
from resolver.authentication import Authenticator
from resolver.httplogin import HttpLogin
from resolver.httpsession import HttpSessions
from resolver.identifier import IdentifierError
from resolver.lately import Lately
from resolver.observe import Tally
from resolver.schemes import parse_handle
from resolver.wire import Reference

SESSIONS_LABEL = b"http sessions"
REMEMBERED_NAMES = 1_024  # of administrators and groups, and what they are in canonical form
WRITE_CONNECTIONS = 4  # of one process: one writes, the others read for it

Spawn = Callable[[Coroutine[Any, Any, None]], object]
OnWritten = Callable[[Iterable[tuple[bytes, int]]], Awaitable[None]]


async def tell_nobody(changes: Iterable[tuple[bytes, int]]) -> None:
    """For a process that is alone."""


class WritePath:
    """The registrar of one process, the objects of the model, its keys, and who proves to be whom with them."""

    def __init__(
        self,
        settings: Settings,
        tally: Tally,
        spawn: Spawn,
        on_written: OnWritten = tell_nobody,
        lately: Lately | None = None,
        replica: Replica | None = None,
    ) -> None:
        """`on_written` is told of (canonical key, serial) after each commit.  Raises RegistryError.

        `lately` and `replica` are of a process that hears of every change.
        """
        self.seal = load_seal(settings)
        self.database = Database(
            settings.database_url, max_connections=WRITE_CONNECTIONS, settings=SESSION
        )
        self.listing = ReadDatabase(
            settings.database_url,
            replica,
            max_connections=LIST_CONNECTIONS,
            settings=LIST_SESSION,
        )
        self.keys = RecordKeys(self.database, self.seal)
        self.registrar = RecordRegistrar(
            self.database,
            self.listing,
            policy_of(settings),
            self.seal,
            spawn=spawn,
            on_written=on_written,
            unique=uuid4,
            count=tally.happened,
            registered=tally.registered,
            case_sensitive=settings.case_sensitive,
            clock=time.time,
        )
        self.objects = Objects(
            self.database,
            self.seal,
            SyncedRows(self.seal),
            secondary=settings.node_prefix,
            here=sites_of(settings.announced),
            clock=time.time,
            unique=uuid4,
            on_written=on_written,
        )
        tokens = TokenTable(self.database)
        self.authenticator = Authenticator(
            self.keys,
            tokens,
            tally,
            time.monotonic,
            case_sensitive=settings.case_sensitive,
            allow_weak=settings.allow_weak_algorithms,
            lately=lately,
        )
        sessions = HttpSessions(
            self.authenticator,
            tokens,
            self.seal.derive(SESSIONS_LABEL),
            time.time,
            os.urandom,
            session_seconds=settings.session_seconds,
        )
        self.login = HttpLogin(
            self.authenticator, sessions, allow_cleartext=settings.allow_cleartext_login
        )

    async def close(self) -> None:
        """Let go of Postgres."""
        await self.listing.close()
        await self.database.close()


def policy_of(settings: Settings) -> Policy:
    """Return what holds for all writes of this node."""

    @lru_cache(maxsize=REMEMBERED_NAMES)
    def canonical(handle: bytes) -> bytes | None:
        try:
            return parse_handle(handle, case_sensitive=settings.case_sensitive).key
        except IdentifierError:
            return None

    return Policy(tuple(_reference(name) for name in settings.server_admins), canonical)


def sites_of(address: PublicAddress) -> tuple[Site, ...]:
    """Return where this node answers, as routes of what it hosts say it; nowhere, if nobody else could ask there."""
    ports = {
        "tcp_port": address.native_port or None,
        "udp_port": address.native_port or None,
        "http_port": address.http_port or None,
    }
    try:
        version = IpType(str(ip_address(address.host).version))
        return (Site(ip_type=version, ip=address.host, **ports),)
    except ModelError:  # of this machine alone, or no port yet
        return ()


def _reference(name: str) -> Reference:
    index, _, handle = name.partition(":")
    return Reference(handle.encode(), int(index))
