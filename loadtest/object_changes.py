"""Changes of what is synced beside records: 表1, 表2, 表6, 表7 and 表11, as an operator makes them over HTTP.

Enterprises are handed in, verified and approved, the top-level node registers them and grants their prefixes over EPP,
and then each change alters one row: who runs the node, where it answers, how an enterprise was verified, where its
prefix is answered, what its template says.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx

from loadtest.stand import Node, StandError
from loadtest.toplevels import PREFIX, operator_token
from node.model.certificate import credit_code_check
from node.web.examples import example_text

TABLES = ("1", "2", "6", "7", "11")
ENTERPRISES = 4
GRANTED_SECONDS = 60.0
ANSWER_SECONDS = 30.0
PAUSE_SECONDS = 0.2  # before a node that does not answer is asked again
PHOTO = b"\x89PNG\r\n\x1a\n" + bytes(64)
PHOTOS = ("e1-licence", "e1-card")  # that the example names

Json = dict[str, Any]


class Changed(NamedTuple):
    """A change that was acknowledged, at which time; `kind`, `id` and `version` find it in the database."""

    table: str
    kind: str
    id: str
    version: int
    at: float


class ObjectWriter:
    """Changes objects, each table by itself; `node` gives the one that runs now."""

    def __init__(self, node: Callable[[], Node]) -> None:
        self._node = node
        self._numbers = range(1, ENTERPRISES + 1)
        self._http: httpx.AsyncClient | None = None
        self._turns: Counter[str] = Counter()
        self.done: list[Changed] = []
        self.failed = 0  # changes that nobody acknowledged

    async def settle(self) -> None:
        """Have all objects made, registered and granted.  Raises StandError."""
        for photo in PHOTOS:
            await self._must("POST", f"/v1/files?id={photo}", content=PHOTO)
        await self._must("PUT", "/v1/operator", json=_form("operator"))
        await self._must("PUT", "/v1/routes", json=_form("routes"))
        for number in self._numbers:
            await self._admit(number)
        for number in self._numbers:
            await self._activate(number)
        for number in self._numbers:
            await self._publish(number)

    async def run(self, rate: float, stop: asyncio.Event) -> None:
        """Make so many changes a second, spread over the tables, until told to stop."""
        async with asyncio.TaskGroup() as tasks:
            for table in TABLES:
                tasks.create_task(self._keep_changing(table, len(TABLES) / rate, stop))

    async def close(self) -> None:
        """Let go of the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def _keep_changing(self, table: str, pause: float, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + pause * TABLES.index(table) / len(TABLES)
        while not stop.is_set():
            await asyncio.sleep(max(0.0, due - loop.time()))
            due = max(
                due + pause, loop.time() - 1.0
            )  # who was kept off does not make up for all of it
            try:
                await self._change(table)
            except (httpx.HTTPError, OSError):
                self.failed += 1
                await self.close()
                await asyncio.sleep(PAUSE_SECONDS)

    async def _change(self, table: str) -> None:
        self._turns[table] += 1
        turn = self._turns[table]
        method, path, body = _request(table, turn, self._numbers[turn % len(self._numbers)])
        answer = await self._ask(method, path, json=body)
        if not answer.is_success:
            self.failed += 1
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                raise StandError(f"{method} {path}: {answer.status_code} {answer.text}")
            return
        told = answer.json()
        held = told["routes"][0] if table == "2" else told
        self.done.append(Changed(table, held["kind"], held["id"], held["version"], time.time()))

    async def _admit(self, number: int) -> None:
        form = _form("enterprise")
        first = f"91370700MA{number:07d}"
        form["organisation"]["certificate_number"] = first + credit_code_check(first)
        path = f"/v1/enterprises/e{number}"
        await self._must("POST", f"/v1/enterprises?id=e{number}", json=form)
        await self._must("PUT", f"{path}/verification", json=_form("verification"))
        await self._step(path, "begin_review", "approve")
        prefix = _prefix(number)
        await self._must(
            "POST", "/v1/prefixes", json={"prefix": prefix, "enterprise": f"e{number}"}
        )
        await self._step(f"/v1/prefixes/{prefix}", "begin_review", "approve")

    async def _activate(self, number: int) -> None:
        path, deadline = f"/v1/prefixes/{_prefix(number)}", time.monotonic() + GRANTED_SECONDS
        while (await self._must("GET", path))["state"] != "granted":
            if time.monotonic() > deadline:
                raise StandError(f"{path} is not granted after {GRANTED_SECONDS:.0f} s")
            await asyncio.sleep(PAUSE_SECONDS)
        await self._must("PUT", f"{path}/sites", json=_form("sites"))
        await self._step(path, "activate")

    async def _publish(self, number: int) -> None:
        name = _template(number)["name"]
        await self._must("POST", f"/v1/templates?enterprise=e{number}", json=_template(number))
        await self._step(f"/v1/templates/{name}%7C1.0", "publish")

    async def _step(self, path: str, *actions: str) -> None:
        for action in actions:
            await self._must("POST", f"{path}/steps", json={"action": action})

    async def _must(self, method: str, path: str, **given: Any) -> Json:
        """Return what is told of what must succeed.  Raises StandError."""
        answer = await self._ask(method, path, **given)
        if not answer.is_success:
            raise StandError(f"{method} {path}: {answer.status_code} {answer.text}")
        told: Json = answer.json()
        return told

    async def _ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        if self._http is None:
            host, port = self._node().admin
            headers = {"Authorization": f"Bearer {operator_token(self._node())}"}
            self._http = httpx.AsyncClient(
                base_url=f"http://{host}:{port}",
                headers=headers,
                trust_env=False,
                timeout=ANSWER_SECONDS,
            )
        return await self._http.request(method, path, **given)


def _request(table: str, turn: int, number: int) -> tuple[str, str, Json]:
    """What changes one row of a table, as it was not before."""
    port = 1_024 + turn % 60_000
    match table:
        case "1":
            operator = _form("operator")
            operator["entity"]["organisation"]["introduction"] = f"第{turn}版"
            return "PUT", "/v1/operator", operator
        case "2":
            routes = _form("routes")
            routes["routes"][0]["sites"][0]["http_port"] = port
            return "PUT", "/v1/routes", routes
        case "6":
            verification = {**_form("verification"), "note": f"第{turn}次核验"}
            return "PUT", f"/v1/enterprises/e{number}/verification", verification
        case "7":
            sites = _form("sites")
            sites["sites"][0]["http_port"] = port
            return "PUT", f"/v1/prefixes/{_prefix(number)}/sites", sites
    template = {**_template(number), "description": f"第{turn}次修订"}
    return "PUT", f"/v1/templates/{template['name']}%7C1.0?enterprise=e{number}", template


def _form(name: str) -> Json:
    """An example, to be changed."""
    form: Json = json.loads(example_text(name))
    return form


def _prefix(number: int) -> str:
    return f"{PREFIX}.{number}"


def _template(number: int) -> Json:
    return {**_form("template"), "name": f"{_prefix(number)}/META_BEARING"}
