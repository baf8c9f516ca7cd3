"""The ordinary way to write: a FastAPI route that inserts a record, its version and its change in one transaction.

It writes the node's own tables, as one would in an afternoon: a connection pool, a route, a transaction with four
statements, one after the other.  It checks a password against one that it knows; no rights, no caches, no retries.

`python -m loadtest.baselines.plain_writes --port N --database URL --authorization TEXT` runs until it is killed.
"""

import argparse
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import uvicorn
from fastapi import FastAPI, Header, HTTPException, Request

_RECORD = """
insert into record (key, prefix, handle, ttl, expires, wire, json) values ($1, $2, $3, 86400, 0, $4, $5)
"""
_SERIAL = "update change_counter set serial = serial + 1 returning serial"
_CHANGE = "insert into change (serial, key, kind) values ($1, $2, 0)"
_VERSION = """
insert into version (key, version, serial, operation, caller, means, origin, reason)
values ($1, 1, $2, 'create', 'somebody', 'basic', 'http', '')
"""


def make_app(database_url: str, password: str) -> FastAPI:
    """Return the application; it opens its pool when it starts."""
    clients: dict[str, Any] = {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        clients["pool"] = await asyncpg.create_pool(database_url)
        yield
        await clients["pool"].close()

    app = FastAPI(lifespan=lifespan)

    @app.put("/api/handles/{handle:path}", status_code=201)
    async def create(
        handle: str, request: Request, authorization: str = Header("")
    ) -> dict[str, Any]:
        if not hmac.compare_digest(authorization, password):
            raise HTTPException(status_code=401)
        values = await request.json()
        key, prefix = handle.upper().encode(), handle.partition("/")[0].encode()
        shown = json.dumps(values).encode()
        async with clients["pool"].acquire() as connection, connection.transaction():
            await connection.execute(_RECORD, key, prefix, handle.encode(), shown, shown)
            serial = await connection.fetchval(_SERIAL)
            await connection.execute(_CHANGE, serial, key)
            await connection.execute(_VERSION, key, serial)
        return {"responseCode": 1, "handle": handle}

    return app


def main() -> None:
    """Serve on the loopback address until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", required=True, metavar="URL")
    parser.add_argument("--authorization", required=True, help="the header that it takes")
    chosen = parser.parse_args()
    app = make_app(chosen.database, chosen.authorization)
    uvicorn.run(app, host="127.0.0.1", port=chosen.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
