"""The HTTP server: uvicorn in a loop of ours."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HANDSHAKE_SECONDS = 10.0  # of TLS


class HttpServer(uvicorn.Server):
    """uvicorn in a loop of ours: signals are the process's business, sockets come from outside."""

    @classmethod
    def of(
        cls,
        app: ASGIApp,
        protocol: type[HttpToolsProtocol] | str,
        *,
        idle_seconds: int,
        drain_seconds: float,
        tls: ssl.SSLContext | None = None,
    ) -> Self:
        """Make the server of an application; `protocol` is a class, or uvicorn's own by name.

        With `tls` it speaks nothing else.
        """
        config = uvicorn.Config(
            app,
            http=protocol,
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=idle_seconds,
            timeout_graceful_shutdown=int(drain_seconds),
            ssl_context_factory=(lambda _config, _usual: tls) if tls else None,
        )
        made = cls(config)
        made.servers = []
        return made

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on given sockets, as uvicorn does, but with a limit of ours to how long a TLS handshake may take."""
        await self.lifespan.startup()
        loop, config = asyncio.get_running_loop(), self.config
        seconds = HANDSHAKE_SECONDS if config.ssl else None
        self.servers = [
            await loop.create_server(
                self._protocol,
                sock=each,
                ssl=config.ssl,
                ssl_handshake_timeout=seconds,
                backlog=config.backlog,
            )
            for each in sockets or ()
        ]
        self.started = True

    def accept_no_more(self) -> None:
        """Leave new connections to another process that has the sockets."""
        for server in self.servers:
            server.close()

    def _protocol(self) -> asyncio.Protocol:
        protocol = cast("type[HttpToolsProtocol]", self.config.http_protocol_class)
        return protocol(self.config, self.server_state, self.lifespan.state)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield
