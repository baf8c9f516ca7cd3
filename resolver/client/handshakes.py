"""Handshakes: connections that do not become TLS are closed, also those of who is cancelled meanwhile.

httpcore closes what fails during a handshake when that raises an Exception, and CancelledError is none: it forgets the
socket, open.  So whoever may be cancelled, a time-out included, asks through this.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import httpx


class HandshakeTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport; takes the same arguments."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx."""
        if request.url.scheme != "https":
            return await super().handle_async_request(request)
        opening = _Opening()
        request.extensions = {**request.extensions, "trace": opening.note}
        try:
            return await super().handle_async_request(request)
        finally:
            await opening.close()


class _Closable(Protocol):
    """A stream of httpcore."""

    async def aclose(self) -> None:
        """Close it."""


class _Opening:
    """What is connected and not yet TLS."""

    def __init__(self) -> None:
        self._connected: list[_Closable] = []

    async def note(self, event: str, values: Mapping[str, Any]) -> None:
        """Be told by httpcore what it does; see its extension `trace`."""
        if event == "connection.connect_tcp.complete":
            self._connected.append(values["return_value"])
        elif event == "connection.start_tls.complete":
            self._connected.clear()  # the connection has it now, and is closed by its pool

    async def close(self) -> None:
        """Close what nobody else does."""
        for stream in self._connected:
            await stream.aclose()
