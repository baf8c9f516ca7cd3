"""API tokens: made, used and revoked over the admin listener and on the command line; the operator's own."""

import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.errors import Kind, RegistryError
from node.registry.operators import Operators
from node.registry.preparation import Policy
from node.registry.tokens import TokenOrder, Tokens, ensure_operator_token
from node.store.database import Database
from node.store.tokens import TokenTable, list_tokens
from node.web.asked import AdminDesk
from node.web.operators import OperatorDesk
from node.web.routes import build_admin_app
from node.web.tokens import TokensApi
from resolver.authentication import token_digest
from resolver.httplogin import HttpLogin
from resolver.registrar import Caller, Scope
from resolver.schemes import parse_handle
from resolver.service import Resolver
from resolver.wire import HandleValue, Reference, encode_vlist
from tests.support.identities import Gate
from tests.support.memory import MemoryStore
from tests.support.web import SITE

OWNER = "300:88.1/Admin"
OPERATOR = Caller(b"", 0, "operator", is_operator=True)

pytestmark = pytest.mark.db


def policy(*admins: Reference) -> Policy:
    return Policy(admins, lambda handle: parse_handle(handle).key)


class Admin:
    """The admin listener over a database, with its identities in memory."""

    def __init__(self, database: Database) -> None:
        self.gate = Gate()
        self.gate.identities.put("88.1/ADMIN", HandleValue(300, b"HS_SECKEY", b"geheim"))
        self.gate.identities.put("88.1/BOSS", HandleValue(300, b"HS_SECKEY", b"chef"))
        self.tokens, self.table = Tokens(database), TokenTable(database)
        self.gate.identities.find_token = self.table.find_token  # type: ignore[method-assign]
        store = MemoryStore()
        login = HttpLogin(self.gate.authenticator, self.gate.sessions)
        desk = AdminDesk(login, Resolver(store, store, store, SITE))
        operators = Operators(policy(Reference(b"88.1/Boss", 300)), self.gate.identities)
        api = TokensApi(self.tokens, OperatorDesk(desk, operators))
        self.app = build_admin_app(bytes, list, tokens=api)

    def client(self, token: str = "", peer: str = "127.0.0.1") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(peer, 40_000))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(transport=transport, base_url="http://idnode", headers=headers)


@pytest.fixture
def admin(database: Database) -> Admin:
    return Admin(database)


@pytest.fixture
async def operator(admin: Admin) -> AsyncIterator[httpx.AsyncClient]:
    made = await admin.tokens.make(TokenOrder(name="root", is_operator=True))
    async with admin.client(made.text) as client:
        yield client


async def make(client: httpx.AsyncClient, **members: Any) -> httpx.Response:
    return await client.post("/v1/tokens", json={"name": "ci", "owner": OWNER, **members})


async def test_token_is_made_once_listed_without_its_text_and_revoked(
    admin: Admin, operator: httpx.AsyncClient
) -> None:
    reply = await make(operator, scopes=["write", "read"], prefixes=["0.na/88.1", "oid:1.2"])
    made = reply.json()
    caller = await admin.gate.authenticator.token(made["token"], "http 127.0.0.1")
    listed = (await operator.get("/v1/tokens")).json()["tokens"]
    revoked = await operator.delete(f"/v1/tokens/{made['id']}")

    assert (reply.status_code, reply.headers["cache-control"]) == (201, "no-store")
    assert made["token"].startswith("idnt_")
    assert len(made["token"]) == 48
    assert caller == Caller(
        b"88.1/ADMIN", 300, "token", frozenset({Scope.WRITE, Scope.READ}), (b"88.1", b"OID:1.2")
    )
    assert listed[1] == {name: value for name, value in made.items() if name != "token"}
    assert revoked.status_code == 204
    assert await admin.table.find_token(token_digest(made["token"])) is None
    assert (await operator.delete(f"/v1/tokens/{made['id']}")).status_code == 404


@pytest.mark.parametrize("name", ["nobody", "%00", "a%0Ab", "%E4%BA%A7", "a%2Fb"])
async def test_token_that_is_not_there_cannot_be_revoked(
    operator: httpx.AsyncClient, name: str
) -> None:
    reply = await operator.delete(f"/v1/tokens/{name}")

    assert reply.status_code == 404


async def test_token_expires_after_a_year_unless_said_otherwise(
    operator: httpx.AsyncClient,
) -> None:
    def days(reply: httpx.Response) -> int:
        left = datetime.fromisoformat(reply.json()["expires"]) - datetime.now(UTC)
        return round(left / timedelta(days=1))

    assert days(await make(operator)) == 365
    assert days(await make(operator, days=7)) == 7
    assert (await make(operator, days=0)).json()["expires"] is None


@pytest.mark.parametrize(
    "members",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": "a\nb"},
        {"owner": ""},
        {"owner": "88.1/ADMIN"},
        {"owner": "0:88.1/ADMIN"},
        {"owner": "300:88.1/"},
        {"owner": 1},
        {"scopes": ["everything"]},
        {"scopes": "read"},
        {"prefixes": [""]},
        {"prefixes": ["88.1/x"]},
        {"prefixes": ["88.1"] * 101},
        {"days": -1},
        {"days": 3_651},
        {"days": True},
        {"days": "7"},
        {"operator": True},
        {"unknown": 1},
    ],
)
async def test_wrong_order_is_refused_with_a_reason(
    operator: httpx.AsyncClient, members: dict[str, Any]
) -> None:
    reply = await make(operator, **members)

    assert reply.status_code == 400
    assert len(reply.json()["detail"]) > 10


async def test_body_that_is_no_json_object_is_refused(operator: httpx.AsyncClient) -> None:
    for body in (b"", b"{", b"[]", b"1"):
        assert (await operator.post("/v1/tokens", content=body)).status_code == 400


async def test_only_who_may_administrate_the_node_may_have_tokens_made(admin: Admin) -> None:
    async def status(**options: Any) -> int:
        async with admin.client() as client:
            return (await client.get("/v1/tokens", **options)).status_code

    async def status_of(order: TokenOrder) -> int:
        text = (await admin.tokens.make(order)).text
        return await status(headers={"Authorization": f"Bearer {text}"})

    boss = "300:88.1/BOSS"
    operate = frozenset({Scope.OPERATE})
    assert await status() == 401
    assert await status(auth=("300%3A88.1/ADMIN", "geheim")) == 403
    assert await status(auth=("300%3A88.1/BOSS", "falsch")) == 401
    assert await status(auth=("300%3A88.1/BOSS", "chef")) == 200
    assert await status_of(TokenOrder(name="a", owner=boss)) == 200
    assert await status_of(TokenOrder(name="b", owner=boss, scopes=operate)) == 200
    assert await status_of(TokenOrder(name="c", owner=boss, scopes=frozenset({Scope.READ}))) == 403
    assert await status_of(TokenOrder(name="d", owner=boss, prefixes=("88.1",))) == 403
    assert await status_of(TokenOrder(name="e", owner=OWNER, scopes=operate)) == 403


async def test_operator_token_is_refused_over_plain_http_from_another_machine(
    admin: Admin, operator: httpx.AsyncClient
) -> None:
    async with admin.client(peer="192.0.2.7") as remote:
        reply = await remote.get("/v1/tokens", headers=operator.headers)

    assert reply.status_code == 403


async def test_group_of_server_administrators_may(admin: Admin) -> None:
    group = HandleValue(200, b"HS_VLIST", encode_vlist([Reference(b"88.1/ADMIN", 300)]))
    admin.gate.identities.put("88.1/GROUP", group)
    operators = Operators(policy(Reference(b"88.1/Group", 200)), admin.gate.identities)

    assert await operators.admits(Caller(b"88.1/ADMIN", 300, "basic"))
    assert not await operators.admits(Caller(b"88.1/ADMIN", 301, "basic"))
    assert await operators.admits(OPERATOR)


@pytest.mark.parametrize(
    ("by", "order"),
    [
        (
            Caller(b"88.1/BOSS", 300, "token", frozenset({Scope.OPERATE})),
            TokenOrder(name="x", owner=OWNER),
        ),
        (
            Caller(b"88.1/BOSS", 300, "token", frozenset({Scope.OPERATE})),
            TokenOrder(name="x", owner=OWNER, scopes=frozenset({Scope.WRITE})),
        ),
        (
            Caller(b"88.1/BOSS", 300, "token", None, (b"88.1",)),
            TokenOrder(name="x", owner=OWNER, prefixes=("88.2",)),
        ),
        (
            Caller(b"88.1/BOSS", 300, "token", None, (b"88.1",)),
            TokenOrder(name="x", owner=OWNER),
        ),
        (Caller(b"88.1/BOSS", 300, "basic"), TokenOrder(name="x", is_operator=True)),
    ],
)
async def test_nobody_makes_a_token_that_may_do_more_than_himself(
    database: Database, by: Caller, order: TokenOrder
) -> None:
    with pytest.raises(RegistryError) as caught:
        await Tokens(database).make(order, by)

    assert caught.value.kind is Kind.FORBIDDEN
    assert await list_tokens(database) == ()


async def test_operator_token_is_made_once_and_its_file_is_its_owners_alone(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "operator-token"

    await ensure_operator_token(database, path, "here")
    first = path.read_text("ascii").strip()
    path.chmod(0o644)
    await ensure_operator_token(database, path, "here")

    assert path.read_text("ascii").strip() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [row.name for row in await list_tokens(database)] == ["here"]
    token = await TokenTable(database).find_token(token_digest(first))
    assert token is not None
    assert token.is_operator


async def test_lost_operator_token_is_revoked_and_made_anew(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "operator-token"
    await ensure_operator_token(database, path, "here")
    await ensure_operator_token(database, tmp_path / "other", "there")
    lost = path.read_text("ascii").strip()
    path.write_bytes(b"\xff cut off")

    await ensure_operator_token(database, path, "here")

    table = TokenTable(database)
    assert await table.find_token(token_digest(lost)) is None
    for file in (path, tmp_path / "other"):
        assert await table.find_token(token_digest(file.read_text("ascii").strip()))


async def test_operator_token_that_was_revoked_stays_revoked(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "operator-token"
    await ensure_operator_token(database, path, "here")
    await Tokens(database).revoke("here")

    await ensure_operator_token(database, path, "here")

    digest = token_digest(path.read_text("ascii").strip())
    assert await TokenTable(database).find_token(digest) is None
    path.unlink()
    await ensure_operator_token(database, path, "here")
    assert await TokenTable(database).find_token(token_digest(path.read_text("ascii").strip()))


async def test_token_of_the_file_is_known_to_a_database_that_was_set_up_anew(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "operator-token"
    await ensure_operator_token(database, path, "here")
    async with database.connection() as connection:
        await connection.execute("delete from token")

    await ensure_operator_token(database, path, "here")

    assert await TokenTable(database).find_token(token_digest(path.read_text("ascii").strip()))
