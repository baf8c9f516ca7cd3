"""Workers of one node in this process, over one record store in memory: each has its own challenges and sessions."""

from dataclasses import dataclass, field
from hashlib import shake_256

from resolver.freshness import Freshness
from resolver.hot.wire import HotWire
from resolver.observe import CELL_COUNT, Protocol, Tally
from resolver.responder import Origin, Profile, Reply, Responder, Surroundings
from resolver.service import Resolver
from resolver.wire import (
    AdminData,
    HandleValue,
    Message,
    NameRequest,
    Opcode,
    Reference,
    encode_admin,
)
from tests.support.identities import Clock
from tests.support.memory import MemoryStore
from tests.support.memory_registrar import MemoryRegistrar
from tests.support.native import Client, Identity
from tests.support.responders import responder_over
from tests.support.web import SITE


class Randomness:
    """Bytes that never repeat, and are the same in every run."""

    def __init__(self, slot: int) -> None:
        self._drawn = slot * 1_000_003

    def __call__(self, count: int) -> bytes:
        self._drawn += 1
        return shake_256(self._drawn.to_bytes(8, "big")).digest(count)


@dataclass
class Fleet:
    """So many workers; one in `gone` cannot be reached by the others, one in `deaf` does not reply."""

    workers: int = 1
    server_admins: tuple[Reference, ...] = ()
    profile: Profile = Profile.AUTO
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: Clock = field(default_factory=lambda: Clock(1_700_000_000.0))
    tally: Tally = field(default_factory=lambda: Tally([0] * CELL_COUNT))
    gone: set[int] = field(default_factory=set)
    deaf: set[int] = field(default_factory=set)
    forwarded: list[tuple[int, Origin]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.registrar = MemoryRegistrar(self.store, self.server_admins)
        self.hot = [
            HotWire(Freshness(), max_entries=100, max_bytes=100_000) for _ in range(self.workers)
        ]
        self.responders = [self._responder(slot) for slot in range(self.workers)]

    async def ask(
        self,
        data: bytes,
        *,
        worker: int = 0,
        protocol: Protocol = Protocol.TCP,
        origin: Origin | None = None,
    ) -> Reply:
        """Return the reply of a worker to a message."""
        where = origin or Origin(protocol, "192.0.2.1")
        return await self.responders[worker].respond(data, where)

    async def prove(
        self,
        client: Client,
        request: bytes,
        identity: Identity,
        *,
        origin: Origin | None = None,
    ) -> Message:
        """Make a request, answer its challenge, and return the answer."""
        challenge = client.read((await self.ask(request, origin=origin)).message)
        proof = client.prove(challenge, identity)
        return client.read((await self.ask(proof, origin=origin)).message)

    async def session(
        self, identity: Identity | None = None, *, protocol: Protocol = Protocol.TCP
    ) -> Client:
        """Return a client with a session, in which an identity is proven if one is given."""
        client = Client()
        client.began((await self.ask(client.begin(), protocol=protocol)).message)
        if identity is not None:
            request = client.request(Opcode.DELETE_HANDLE, name(b"88.1/none"))
            answer = await self.prove(client, request, identity)
            assert answer.header.response_code == 100, answer
        return client

    def _responder(self, slot: int) -> Responder:
        world = Surroundings(self.clock, Randomness(slot), _sign, slot, self._forward)
        service = Resolver(self.store, self.store, self.store, SITE)
        return responder_over(
            self.store,
            service,
            self.hot[slot],
            self.tally,
            world,
            registrar=self.registrar,
            profile=self.profile,
        )

    async def _forward(self, slot: int, data: bytes, origin: Origin) -> Reply:
        """As between processes: the other worker gets the protocol and the address alone."""
        if slot >= self.workers or slot in self.gone:
            raise ConnectionRefusedError
        if slot in self.deaf:
            raise TimeoutError
        self.forwarded.append((slot, origin))
        return await self.responders[slot].respond(data, Origin(origin.protocol, origin.address))


async def _sign(_block: bytes, _sha256: bool) -> bytes:
    return b"signature"


def name(handle: bytes) -> bytes:
    """Return the body of a request that names a handle and says no more."""
    return NameRequest(handle).encode()


def admin(index: int, handle: bytes, admin_index: int, permissions: int = 0xFFF) -> HandleValue:
    """Return an HS_ADMIN value."""
    data = encode_admin(AdminData(permissions, handle, admin_index))
    return HandleValue(index, b"HS_ADMIN", data)
