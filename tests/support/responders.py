"""A responder that reads and writes a record store in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from resolver.authentication import Authenticator, Token
from resolver.hot.wire import HotWire
from resolver.observe import Tally
from resolver.responder import Profile, Responder, Surroundings
from resolver.service import Resolver
from resolver.source import SourceUnavailable
from resolver.wire import HandleValue, Reference
from tests.support.memory import MemoryStore
from tests.support.memory_registrar import MemoryRegistrar


@dataclass
class MemoryKeys:
    """Implements KeyStore and TokenStore over a store in memory; there are no tokens."""

    store: MemoryStore

    async def keys(self, handle: bytes) -> Sequence[HandleValue] | None:
        """See KeyStore."""
        if self.store.is_down:
            raise SourceUnavailable
        return self.store.values_by_key.get(handle)

    async def find_token(self, digest: bytes) -> Token | None:
        """See TokenStore."""
        del digest
        return None


def responder_over(
    store: MemoryStore,
    service: Resolver,
    hot: HotWire,
    tally: Tally,
    world: Surroundings,
    *,
    registrar: MemoryRegistrar | None = None,
    server_admins: tuple[Reference, ...] = (),
    profile: Profile = Profile.AUTO,
) -> Responder:
    """Return a responder that reads and writes the store."""
    keys = MemoryKeys(store)
    authenticator = Authenticator(keys, keys, tally, world.epoch_seconds, allow_weak=True)
    registrar = registrar or MemoryRegistrar(store, server_admins)
    return Responder(service, hot, tally, world, registrar, authenticator, profile=profile)
