"""`/hrls/handles` over HTTP: who may ask, what is refused, and how one goes on to the next page."""

import asyncio
from collections.abc import AsyncIterator
from itertools import chain

import httpx
import pytest
from fastapi import FastAPI

from node.registry.patterns import SearchedTypes
from node.registry.prefixes import PrefixTable
from node.registry.reverse import ReverseIndex
from node.registry.searching import MAX_SEARCHES, MAX_WAITING, ReverseLookup
from node.store.database import Database
from node.store.prefixes import PrefixRow, PrefixState, write_prefixes
from node.store.reverse import indexing_connection
from node.web.reverse import ReverseApi
from resolver.authentication import Token
from resolver.registrar import Scope
from resolver.service import Resolver
from resolver.wire import HandleValue, encode_values
from tests.support.identities import Gate
from tests.support.memory import MemoryStore
from tests.support.rows import put_record
from tests.support.web import SITE

pytestmark = pytest.mark.db

ADMIN = ("300%3A88.1/ADMIN", "secret")
HANDLES = 7


@pytest.fixture
def gate() -> Gate:
    gate = Gate()
    gate.identities.put("88.1/ADMIN", HandleValue(300, b"HS_SECKEY", b"secret", permissions=12))
    return gate


@pytest.fixture
async def filled(database: Database) -> Database:
    """Seven handles with a URL, in the index."""
    async with database.transaction() as connection:
        await write_prefixes(connection, [PrefixRow(b"88.1", "88.1", PrefixState.HOMED)])
    for number in range(HANDLES):
        value = HandleValue(1, b"URL", b"http://dkrz.de/%d" % number)
        await put_record(database, b"88.1/N %d" % number, wire=encode_values([value]))
    index = ReverseIndex(database, SearchedTypes.of(["*"]))
    async with indexing_connection(database.dsn) as connection:
        assert connection is not None
        while await index.step(connection):
            pass
    return database


async def application(database: Database, gate: Gate, *types: str) -> FastAPI:
    prefixes, store = PrefixTable(database), MemoryStore()
    await prefixes.load()
    lookup = ReverseLookup(database, SearchedTypes.of(types), prefixes)
    app = FastAPI()
    api = ReverseApi(lookup, gate.login, Resolver(store, store, store, SITE))
    app.add_api_route("/hrls/handles", api.search, methods=["GET", "HEAD"])
    return app


def client_of(app: FastAPI, peer: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(peer, 40_000))
    return httpx.AsyncClient(transport=transport, base_url="http://idnode.test")


@pytest.fixture
async def client(filled: Database, gate: Gate) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(await application(filled, gate, "*")) as client:
        yield client


async def ask(client: httpx.AsyncClient, query: str) -> httpx.Response:
    return await client.get(f"/hrls/handles?{query}", auth=ADMIN)


async def test_handles_come_as_an_array_of_texts(client: httpx.AsyncClient) -> None:
    reply = await ask(client, "URL=*dkrz*")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json() == [f"88.1/n {number}" for number in range(HANDLES)]
    assert "link" not in reply.headers


@pytest.mark.parametrize(
    "query", ["URL=noturldoesnotexist", "URL=*dkrz*&CHECKSUM=*1111111111111*", "url=*dkrz"]
)
async def test_nothing_found_is_an_empty_array(client: httpx.AsyncClient, query: str) -> None:
    reply = await ask(client, query)
    assert (reply.status_code, reply.text) == (200, "[]")


async def test_link_leads_through_all_pages(client: httpx.AsyncClient) -> None:
    seen: list[str] = []
    url = "/hrls/handles?URL=*dkrz.de/*&limit=3"
    for _ in range(3):
        reply = await client.get(url, auth=ADMIN)
        seen += reply.json()
        if "link" in reply.headers:
            url = reply.links["next"]["url"]
    assert seen == [f"88.1/n {number}" for number in range(HANDLES)]
    assert "link" not in reply.headers


async def test_last_handle_of_a_page_serves_as_after(client: httpx.AsyncClient) -> None:
    reply = await ask(client, "URL=*dkrz*&after=88.1/n%204")
    assert reply.json() == ["88.1/n 5", "88.1/n 6"]


async def test_pages_are_numbered_from_zero(client: httpx.AsyncClient) -> None:
    pages = [(await ask(client, f"URL=*dkrz*&limit=3&page={page}")).json() for page in range(4)]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert sorted(chain.from_iterable(pages)) == [f"88.1/n {number}" for number in range(HANDLES)]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "name a type"),
        ("limit=5", "name a type"),
        ("URL=*", "three characters"),
        ("URL=ab*", "three characters"),
        ("URL=*abc*&CHECKSUM=*", "three characters"),
        ("HS_ADMIN=*88.1*", "HS_ADMIN"),
        ("URL=*dkrz*&limit=0", "limit"),
        ("URL=*dkrz*&limit=10001", "limit"),
        ("URL=*dkrz*&limit=x", "limit"),
        ("URL=*dkrz*&page=-1", "page"),
        ("URL=*dkrz*&page=11", "after"),
        ("URL=*dkrz*&retrieverecords=true", "retrieverecords"),
        ("URL=%FF%FF%FF", "UTF-8"),
        ("&".join(f"T{number}=abcd" for number in range(17)), "at most 16"),
    ],
)
async def test_query_that_is_not_answered_is_refused_with_what_to_do(
    client: httpx.AsyncClient, query: str, says: str
) -> None:
    reply = await ask(client, query)
    assert (reply.status_code, reply.json()["type"]) == (400, "/docs#bad_request")
    assert says in reply.json()["detail"]


async def test_switches_of_the_first_such_service_do_no_harm(client: httpx.AsyncClient) -> None:
    reply = await ask(client, "URL=*dkrz*&enforcesql=true&retrieverecords=false")
    assert len(reply.json()) == HANDLES


async def test_who_does_not_log_in_is_told_how(client: httpx.AsyncClient) -> None:
    reply = await client.get("/hrls/handles?URL=*")
    assert (reply.status_code, reply.json()["type"]) == (401, "/docs#authentication_needed")
    assert 'Basic realm="handle"' in reply.headers.get_list("www-authenticate")


async def test_wrong_password_is_refused(client: httpx.AsyncClient) -> None:
    reply = await client.get("/hrls/handles?URL=*dkrz*", auth=(ADMIN[0], "guess"))
    assert (reply.status_code, reply.json()["type"]) == (401, "/docs#login_failed")


async def test_too_many_wrong_passwords_are_not_looked_at(client: httpx.AsyncClient) -> None:
    for _ in range(50):
        reply = await client.get("/hrls/handles?URL=*dkrz*", auth=(ADMIN[0], "guess"))
        if reply.status_code == 429:
            break
    assert (reply.status_code, reply.json()["type"]) == (429, "/docs#login_failed")
    assert reply.headers["retry-after"]


@pytest.mark.parametrize("auth", [None, ADMIN])
async def test_plain_http_from_another_machine_is_refused(
    filled: Database, gate: Gate, auth: tuple[str, str] | None
) -> None:
    async with client_of(await application(filled, gate, "*"), "192.0.2.7") as client:
        reply = await client.get("/hrls/handles?URL=*dkrz*", auth=auth)
    assert (reply.status_code, reply.json()["type"]) == (403, "/docs#authentication_needed")
    assert "www-authenticate" not in reply.headers


async def with_token(client: httpx.AsyncClient, gate: Gate, token: Token) -> httpx.Response:
    gate.identities.put_token("idnt_x", token)
    return await client.get("/hrls/handles?URL=*dkrz*", headers={"Authorization": "Bearer idnt_x"})


async def test_token_needs_the_scope_of_listing(client: httpx.AsyncClient, gate: Gate) -> None:
    reader = Token(b"88.1/ADMIN", 300, frozenset({Scope.READ}))
    assert (await with_token(client, gate, reader)).status_code == 403
    lister = Token(b"88.1/ADMIN", 300, frozenset({Scope.LIST}))
    assert len((await with_token(client, gate, lister)).json()) == HANDLES


async def test_token_stays_within_its_prefixes(client: httpx.AsyncClient, gate: Gate) -> None:
    elsewhere = Token(b"88.1/ADMIN", 300, frozenset({Scope.LIST}), prefixes=(b"88.2",))
    assert (await with_token(client, gate, elsewhere)).json() == []


async def test_reverse_look_up_can_be_switched_off(filled: Database, gate: Gate) -> None:
    async with client_of(await application(filled, gate)) as client:
        reply = await ask(client, "URL=*dkrz*")
    assert (reply.status_code, reply.json()["type"]) == (501, "/docs#not_supported")


async def test_index_by_other_rules_is_not_asked(filled: Database, gate: Gate) -> None:
    async with client_of(await application(filled, gate, "URL")) as client:
        reply = await ask(client, "URL=*dkrz*")
    assert (reply.status_code, reply.json()["type"]) == (503, "/docs#unavailable")
    assert reply.headers["retry-after"]


async def test_look_up_that_takes_too_long_says_what_to_do(
    filled: Database, client: httpx.AsyncClient
) -> None:
    async with filled.transaction() as holder:
        await holder.execute("lock table reverse in access exclusive mode")
        reply = await ask(client, "URL=*dkrz*")
    assert (reply.status_code, reply.json()["type"]) == (400, "/docs#too_broad")
    assert "narrow it" in reply.json()["detail"]


async def test_look_ups_that_wait_are_bounded(filled: Database, client: httpx.AsyncClient) -> None:
    async with filled.transaction() as holder:
        await holder.execute("lock table reverse in access exclusive mode")
        asked = [
            asyncio.create_task(ask(client, "URL=*dkrz*"))
            for _ in range(MAX_SEARCHES + MAX_WAITING + 1)
        ]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        refused = done.pop().result()
    assert (refused.status_code, refused.json()["type"]) == (503, "/docs#unavailable")
    assert {(await each).status_code for each in asked} == {200, 503}


async def test_database_that_is_away_is_a_reason_to_try_again(gate: Gate) -> None:
    async with Database("postgresql://nobody@127.0.0.1:1/none") as nowhere:
        store = MemoryStore()
        lookup = ReverseLookup(nowhere, SearchedTypes.of(["*"]), store)
        app = FastAPI()
        api = ReverseApi(lookup, gate.login, Resolver(store, store, store, SITE))
        app.add_api_route("/hrls/handles", api.search)
        async with client_of(app) as client:
            reply = await ask(client, "URL=*dkrz*")
    assert (reply.status_code, reply.json()["type"]) == (503, "/docs#unavailable")
