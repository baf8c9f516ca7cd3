"""Probing: every ten seconds the node is asked for an identifier, as the real one's monitoring does.

It asks over HTTP where the node has a port for it, with a user agent whose `+https://` makes it a robot in the node's
count; by UDP or TCP only on this machine, whose traffic the node counts as its own.  So no probe is ever production.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from ipaddress import ip_address
from time import perf_counter
from typing import NamedTuple
from urllib.parse import quote

import httpx
import orjson

from node.toplevel.database import Database, DatabaseFailed
from node.toplevel.resolution import Routes, Site
from node.toplevel.shown import read_bodies
from resolver.client import NodeUnreachable, Query, ask_tcp, ask_udp
from resolver.target import BodyTooLarge, read_body
from resolver.wire import ResponseCode
from sync.channels.tables import MASTER_RECORD

INTERVAL_SECONDS = 10.0
PROBE_SECONDS = 5.0
AGENT = "idnode-toplevel-probe/1 (+https://toplevel.invalid/probe)"
KEPT = 60
MAX_ANSWER_BYTES = 1 << 20
DELETED = 2  # `operation` of a row of 表9


class Probe(NamedTuple):
    """One question: to where, for what, and what came of it.  `milliseconds` is None when no answer came."""

    at: float
    target: str
    identifier: str
    milliseconds: float | None
    result: str
    is_ok: bool


class Prober:
    """Asks the node; `routes` gives those of the moment."""

    def __init__(
        self,
        database: Database,
        routes: Callable[[], Routes],
        node_prefix: str,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._routes = routes
        self._node_prefix = node_prefix
        self._clock = clock
        self._http = httpx.AsyncClient(
            trust_env=False,
            verify=False,  # noqa: S501  it asks over plain HTTP only
            timeout=PROBE_SECONDS,
            headers={"User-Agent": AGENT},
        )
        self._number = 0
        self.probes: deque[Probe] = deque(maxlen=KEPT)

    async def run(self, interval_seconds: float = INTERVAL_SECONDS) -> None:
        """Ask again and again."""
        while True:
            await self.probe()
            await asyncio.sleep(interval_seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def probe(self) -> Probe | None:
        """Ask once; None while no route of the node is known."""
        route = self._routes().find(self._node_prefix)
        if route is None:
            return None
        try:
            identifier = await self._identifier()
        except DatabaseFailed:
            return None
        site = route.sites[0]
        began = perf_counter()
        target, result, is_ok = await self._ask(site, identifier)
        took = round((perf_counter() - began) * 1_000, 3)
        found = Probe(self._clock(), target, identifier, took if is_ok else None, result, is_ok)
        self.probes.append(found)
        return found

    async def _identifier(self) -> str:
        """Return the newest identifier that is there, else the node's prefix."""
        for body in await read_bodies(self._database, MASTER_RECORD.number, 5):
            row = orjson.loads(body)
            if row["operation"] != DELETED:
                return str(row["identifier"])
        return f"0.NA/{self._node_prefix}"

    async def _ask(self, site: Site, identifier: str) -> tuple[str, str, bool]:
        is_here = ip_address(site.ip).is_loopback
        host = f"[{site.ip}]" if ":" in site.ip else site.ip
        if site.http_port:
            target = f"http://{host}:{site.http_port}"
            return target, *await self._ask_http(target, identifier)
        if not is_here:
            return host, "not asked: it has no HTTP port, and other traffic would be counted", False
        self._number += 1
        ask, port = (ask_udp, site.udp_port) if site.udp_port else (ask_tcp, site.tcp_port)
        target = f"{'udp' if site.udp_port else 'tcp'}://{host}:{port}"
        try:
            reply = await ask(site.ip, port, Query(identifier.encode()), self._number)
        except NodeUnreachable as error:
            return target, str(error), False
        return target, _word(reply.code), reply.code == ResponseCode.SUCCESS

    async def _ask_http(self, url: str, identifier: str) -> tuple[str, bool]:
        path = f"/api/handles/{quote(identifier, safe='/:')}"
        try:
            async with (
                asyncio.timeout(PROBE_SECONDS),
                self._http.stream("GET", url + path) as response,
            ):
                body = await read_body(response.aiter_bytes(), MAX_ANSWER_BYTES)
                code = orjson.loads(body).get("responseCode")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, BodyTooLarge) as error:
            return str(error) or type(error).__name__, False
        except (orjson.JSONDecodeError, AttributeError):
            return "no answer of a node", False
        return _word(code), code == ResponseCode.SUCCESS


def _word(code: object) -> str:
    try:
        return ResponseCode(code).name if isinstance(code, int) else "no responseCode"
    except ValueError:
        return f"code {code}"
