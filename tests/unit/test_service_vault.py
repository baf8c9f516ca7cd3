"""The resolver and the vault: what a restricted record says, and that nothing older is said after it."""

import pytest

from node.readpath import Caches
from resolver.answer import Answer, Question, Status
from resolver.observe import CELL_COUNT, Tally
from resolver.schemes import parse_handle
from resolver.service import Resolver
from resolver.source import Whole
from resolver.wire import HandleValue, SiteData, decode_values
from tests.support.memory import MemoryStore

SITE = SiteData(2, 11, 1, True, False, 2, b"", (), ())
HIDDEN = HandleValue(2, b"EMAIL", b"nobody@idnode.test", permissions=12)


class ChangingStore(MemoryStore):
    """A store whose record is written anew before and after the vault reads it, so many times."""

    changes = 0

    async def values(self, key: bytes) -> Whole:
        if not self.changes:
            return await super().values(key)
        self.changes -= 1
        write(self, f"before {self.serial}")
        whole = await super().values(key)
        write(self, f"after {self.serial}")
        return whole


@pytest.fixture
def store() -> ChangingStore:
    made = ChangingStore()
    made.put("0.NA/88.1", ())
    write(made, "old")
    return made


@pytest.fixture
def service(store: ChangingStore) -> Resolver:
    tally = Tally([0] * CELL_COUNT)
    caches = Caches(store, None, tally, lambda _: None, hot_entries=100, memory_entries=100)
    caches.restart("epoch", store.serial)
    return Resolver(caches.memory, store, store, SITE)


def write(store: MemoryStore, text: str) -> None:
    store.put("88.1/a", [HandleValue(1, b"URL", text.encode()), HIDDEN])


async def ask(service: Resolver, *types: bytes, public_only: bool = False) -> Answer:
    identifier = parse_handle(b"88.1/a")
    return await service.resolve(Question(identifier, types, public_only=public_only))


def text(answer: Answer) -> bytes:
    """Return the URL that is said."""
    assert answer.status is Status.FOUND
    assert answer.stored is not None
    values = answer.values or decode_values(answer.stored.wire)
    return next(value.data for value in values if value.type == b"URL")


async def test_what_the_vault_knows_before_the_feed_is_not_taken_back(
    store: ChangingStore, service: Resolver
) -> None:
    assert text(await ask(service, public_only=True)) == b"old"
    write(store, "new")

    said = text(await ask(service, b"URL"))

    assert said == b"new"
    assert text(await ask(service, public_only=True)) == b"new"


async def test_a_record_that_the_vault_knows_to_be_gone_does_not_come_back(
    store: ChangingStore, service: Resolver
) -> None:
    assert text(await ask(service, public_only=True)) == b"old"
    store.serial += 1
    store.values_by_key.clear()

    said = (await ask(service, b"URL")).status

    assert said is Status.NO_SUCH_HANDLE
    assert (await ask(service, public_only=True)).status is Status.NO_SUCH_HANDLE


async def test_a_record_that_changes_while_it_is_read_is_read_again(
    store: ChangingStore, service: Resolver
) -> None:
    assert text(await ask(service, public_only=True)) == b"old"
    store.changes = 1

    said = text(await ask(service, b"URL"))

    assert said == text(await ask(service, public_only=True))


async def test_a_record_that_never_rests_is_busy(store: ChangingStore, service: Resolver) -> None:
    await ask(service, public_only=True)
    store.changes = 99

    assert (await ask(service, b"URL")).status is Status.UNAVAILABLE


async def test_a_restricted_value_that_matches_refuses_the_question(service: Resolver) -> None:
    assert (await ask(service)).status is Status.AUTHENTICATION_NEEDED
    assert (await ask(service, b"EMAIL")).status is Status.AUTHENTICATION_NEEDED
    assert text(await ask(service, b"URL")) == b"old"
