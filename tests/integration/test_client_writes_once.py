"""The client and a real registrar with a network between them that loses answers: every write is carried out once."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from node.store.database import Database
from resolver.client import Client, Conflict, NodeUnreachable, NotFound, Terms, Token, Written
from resolver.client.exchange import ATTEMPTS
from resolver.wire import HandleValue
from tests.support.cutting import losing_answers
from tests.support.office import OPERATOR, open_office
from tests.support.web import serving

pytestmark = pytest.mark.db

NAME = "88.1/pump"
URL, NOTE = HandleValue(1, b"URL", b"u"), HandleValue(2, b"NOTE", b"n")
Do = Callable[[Client], Awaitable[Written]]


@pytest.fixture
async def url(database: Database, database_url: str) -> AsyncIterator[str]:
    async with open_office(database, database_url) as office, serving(office.app) as (host, port):
        yield f"http://{host}:{port}"


async def at_once(_seconds: float) -> None:
    """Pause for no time at all."""


def asking(url: str) -> Client:
    return Client(url, Token(OPERATOR), sleep=at_once)


async def learn(client: Client) -> None:
    """Be told no, by which the client learns that the server honours its keys."""
    with pytest.raises(NotFound):
        await client.delete("88.1/nothing")


async def versions(url: str) -> list[int]:
    async with asking(url) as client:
        found = await client.history(NAME)
    return [revision.version for revision in found.revisions]


@pytest.mark.parametrize(
    "do",
    [
        lambda client: client.add(NAME, (NOTE,)),
        lambda client: client.modify(NAME, (HandleValue(1, b"URL", b"v"),)),
        lambda client: client.remove(NAME, (1,)),
        lambda client: client.delete(NAME),
        lambda client: client.revert(NAME, 1),
        lambda client: client.put(NAME, (NOTE,), Terms(if_version=2)),
    ],
    ids=["add", "modify", "remove", "delete", "revert", "put at a version"],
)
async def test_write_whose_answer_was_lost_is_carried_out_once(url: str, do: Do) -> None:
    async with asking(url) as client:
        await client.put(NAME, ())
        await client.put(NAME, (URL,))

    async with losing_answers(url, 3) as server, asking(server.url) as client:
        await learn(client)
        written = await do(client)

    assert (written.version, written.replayed) == (3, True)
    assert await versions(url) == [3, 2, 1]


async def test_name_is_minted_once_and_a_creation_conflicts_with_itself_never(url: str) -> None:
    async with losing_answers(url, 3) as server, asking(server.url) as client:
        await learn(client)
        minted = await client.put("88.1", (URL,), mint=True)
        created = await client.put(NAME, (URL,), overwrite=False)
        with pytest.raises(Conflict):
            await client.put(NAME, (URL,), overwrite=False)
        names = (await client.list("88.1")).names

    assert (minted.created, minted.replayed, created.created) == (True, True, True)
    assert set(names) == {minted.handle, NAME}


async def test_what_nobody_knows_is_found_out_with_the_key(url: str) -> None:
    async with losing_answers(url, ATTEMPTS) as server, asking(server.url) as client:
        with pytest.raises(NodeUnreachable) as lost:
            await client.put(NAME, (URL,), overwrite=False)
    terms = Terms(idempotency_key=lost.value.idempotency_key)

    async with asking(url) as client:
        written = await client.put(NAME, (URL,), terms, overwrite=False)

    assert (written.version, written.created, written.replayed) == (1, True, True)
    assert await versions(url) == [1]
