"""Listeners: the channel (HTTPS, certificates on both sides), the page (plain HTTP), and the Handle protocol."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import cast

from starlette.applications import Starlette
from starlette.routing import Route

from node.address import Endpoint
from node.errors import Kind, RegistryError
from node.ledger.acknowledging import CLAIM_PATH, COUNTS_PATH
from node.ledger.dayacknowledging import DAY_CLAIM_PATH
from node.ledger.submission import ADD_PATH
from node.sockets import open_listener
from node.toplevel.channel import CLOSE, Channel
from node.toplevel.counts import Counts
from node.toplevel.daycounts import DayCounts
from node.toplevel.desk import Desk
from node.toplevel.hostnames import HostNames
from node.toplevel.mischief import Door
from node.toplevel.native import Answers, TcpAnswers, UdpAnswers
from node.toplevel.page import Page
from node.toplevel.views import Views
from node.toplevel.watch import Watch
from resolver.frontends.fast import FastHttp
from resolver.frontends.server import HttpServer
from resolver.observe import CELL_COUNT, Tally
from sync.transport import EPP_PATH, HEARTBEAT_PATH, MESSAGES_PATH

MAX_CONNECTIONS = 1_000
MAX_CONNECTIONS_OF_ONE = 200
REQUEST_SECONDS = 60  # for a request to arrive
IDLE_SECONDS = 75
DRAIN_SECONDS = 2.0
PORT_TRIES = 20  # for one that is free for UDP and TCP

OPEN_TO_ALL = (
    ADD_PATH,
    "/checkpoint",
    CLAIM_PATH,
    DAY_CLAIM_PATH,
    "/healthz",
)  # a witness, under any name


class _Http(FastHttp):
    """A connection that can be broken by what answers on it."""

    def on_message_begin(self) -> None:
        """Called by the parser."""
        super().on_message_begin()
        cast("dict[str, object]", self.scope)[CLOSE] = self.transport.abort


def make_door() -> Door:
    """Return the limits of one listener."""
    return Door(
        Tally([0] * CELL_COUNT),
        connections_max=MAX_CONNECTIONS,
        connections_per_source=MAX_CONNECTIONS_OF_ONE,
        request_seconds=REQUEST_SECONDS,
        idle_seconds=IDLE_SECONDS,
        udp_answers_per_second=0,
        udp_answers_burst=0,
    )


def channel_app(channel: Channel) -> Starlette:
    """Return the application of the channel."""
    routes = (
        Route(MESSAGES_PATH, channel.messages, methods=["POST"]),
        Route(EPP_PATH, channel.epp, methods=["POST"]),
        Route(HEARTBEAT_PATH, channel.heartbeat, methods=["POST"]),
    )
    return _app(routes)


def page_app(
    page: Page,
    views: Views,
    desk: Desk,
    watch: Watch,
    counts: Counts,
    days: DayCounts,
    *,
    names: Collection[str],
) -> Starlette:
    """Return the application of the page."""
    routes = (
        Route("/", page.page),
        Route("/static/{name}", page.file),
        Route("/state", views.state),
        Route("/tables/{number}", views.table),
        Route("/digests", views.digests),
        Route("/faults", views.faults),
        Route("/faults", desk.faults, methods=["POST"]),
        Route("/epp", views.epp),
        Route("/epp/decisions", desk.decisions, methods=["POST"]),
        Route("/epp/policy", desk.policy, methods=["POST"]),
        Route("/corrections", desk.corrections, methods=["POST"]),
        Route("/snapshots", views.snapshots),
        Route("/snapshots", desk.snapshots, methods=["POST"]),
        Route("/restore", desk.restore, methods=["POST"]),
        Route("/keys", views.keys),
        Route("/keys", desk.keys, methods=["POST"]),
        Route("/logs", desk.logs, methods=["POST"]),
        Route("/bootstrap.json", views.bootstrap),
        Route("/resolve/{identifier:path}", views.resolve),
        Route(ADD_PATH, watch.add_checkpoint, methods=["POST"]),
        Route(CLAIM_PATH, counts.add, methods=["POST"]),
        Route(COUNTS_PATH, counts.list),
        Route(DAY_CLAIM_PATH, days.add, methods=["POST"]),
        Route("/{origin_hash}/checkpoint", watch.checkpoint),
        Route("/healthz", views.alive),
    )
    app = _app(routes)
    app.add_middleware(HostNames, names=names, open_to_all=OPEN_TO_ALL)
    return app


@asynccontextmanager
async def serving_http(
    app: Starlette, endpoint: Endpoint, door: Door, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Endpoint]:
    """Serve an application, and say where.  Raises RegistryError when the address cannot be had."""
    listener, true = open_listener(endpoint)
    server = HttpServer.of(
        app,
        _Http.behind(door),
        idle_seconds=IDLE_SECONDS,
        drain_seconds=DRAIN_SECONDS,
        tls=tls,
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield true
    finally:
        server.should_exit = True
        door.end()
        await serving


@asynccontextmanager
async def serving_native(answers: Answers, endpoint: Endpoint) -> AsyncIterator[Endpoint]:
    """Serve the Handle protocol, UDP and TCP on one port.  Raises RegistryError."""
    listener, datagrams, true = _open_both(endpoint)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: UdpAnswers(answers), sock=datagrams)
    server = await asyncio.start_server(TcpAnswers(answers).serve, sock=listener)
    try:
        yield true
    finally:
        transport.close()
        server.close()


def _open_both(endpoint: Endpoint) -> tuple[socket.socket, socket.socket, Endpoint]:
    """Open a listener for TCP and a socket for UDP on one port.  Raises RegistryError when there is none."""
    trouble = ""
    for _ in range(PORT_TRIES if endpoint.port == 0 else 1):
        listener, true = open_listener(endpoint)
        datagrams = socket.socket(listener.family, socket.SOCK_DGRAM)
        datagrams.setblocking(False)
        try:
            datagrams.bind((true.host, true.port))
        except OSError as error:
            trouble = str(error)
            listener.close()
            datagrams.close()
        else:
            return listener, datagrams, true
    raise RegistryError(Kind.IN_USE, f"{endpoint} cannot be had by UDP: {trouble}.")


def _app(routes: tuple[Route, ...]) -> Starlette:
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return app
