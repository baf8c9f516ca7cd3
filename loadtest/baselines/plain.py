"""The ordinary way: a FastAPI route that looks a record up in Redis, then in Postgres, and returns it as JSON.

It reads the node's own `record` table, and is written as one would write it in an afternoon: a connection pool, a Redis
client, a route, a dictionary.  With `--memory` a dictionary in the process stands in front of Redis.

`python -m loadtest.baselines.plain --port N --database URL --redis URL [--memory]` runs until it is killed.
"""

import argparse
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import uvicorn
from fastapi import FastAPI, HTTPException
from redis.asyncio import Redis

TTL_SECONDS = 86_400


def make_app(database_url: str, redis_url: str, *, in_memory: bool) -> FastAPI:
    """Return the application; it opens its clients when it starts."""
    clients: dict[str, Any] = {}
    memory: dict[str, Any] = {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        clients["redis"] = Redis.from_url(redis_url)
        clients["pool"] = await asyncpg.create_pool(database_url)
        yield
        await clients["pool"].close()
        await clients["redis"].aclose()

    app = FastAPI(lifespan=lifespan)

    @app.get("/api/handles/{handle:path}")
    async def resolve(handle: str) -> dict[str, Any]:
        if handle in memory:
            values = memory[handle]
        else:
            values = await find(handle)
            if in_memory:
                memory[handle] = values
        return {"responseCode": 1, "handle": handle, "values": values}

    async def find(handle: str) -> Any:
        key = handle.upper()
        cached = await clients["redis"].get(f"plain:{key}")
        if cached is not None:
            return json.loads(cached)
        async with clients["pool"].acquire() as connection:
            row = await connection.fetchrow("SELECT json FROM record WHERE key = $1", key.encode())
        if row is None:
            raise HTTPException(status_code=404, detail={"responseCode": 100, "handle": handle})
        await clients["redis"].set(f"plain:{key}", row["json"], ex=TTL_SECONDS)
        return json.loads(row["json"])

    return app


def main() -> None:
    """Serve on the loopback address until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", required=True, metavar="URL")
    parser.add_argument("--redis", required=True, metavar="URL")
    parser.add_argument("--memory", action="store_true", help="keep records in the process as well")
    chosen = parser.parse_args()
    app = make_app(chosen.database, chosen.redis, in_memory=chosen.memory)
    uvicorn.run(app, host="127.0.0.1", port=chosen.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
