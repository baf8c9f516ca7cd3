"""An operator at the admin listener, over a real database and without sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from node.registry.operators import Operators
from node.registry.preparation import Policy
from node.registry.tokens import TokenOrder, Tokens
from node.store.database import Database
from node.store.tokens import TokenTable
from node.web.asked import AdminDesk
from node.web.operators import OperatorDesk
from resolver.httplogin import HttpLogin
from resolver.schemes import parse_handle
from resolver.service import Resolver
from tests.support.identities import Gate
from tests.support.memory import MemoryStore
from tests.support.web import SITE


def desk_on(database: Database) -> OperatorDesk:
    """Return a desk that knows the tokens of a database."""
    gate, store = Gate(), MemoryStore()
    gate.identities.find_token = TokenTable(database).find_token  # type: ignore[method-assign]
    desk = AdminDesk(
        HttpLogin(gate.authenticator, gate.sessions), Resolver(store, store, store, SITE)
    )
    operators = Operators(Policy((), lambda handle: parse_handle(handle).key), gate.identities)
    return OperatorDesk(desk, operators)


@asynccontextmanager
async def operator_at(app: FastAPI, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """Lend an operator's client of the application."""
    made = await Tokens(database).make(TokenOrder(name="me", is_operator=True))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 40_000))
    headers = {"Authorization": f"Bearer {made.text}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://idnode", headers=headers
    ) as client:
        yield client
