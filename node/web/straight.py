"""Straight: writes of handles go to their endpoint by the shortest way: what lies around the routes costs more than a
write's own words.

Law: what is answered is what the routes answer, header for header; they stay in the table, which the OpenAPI document
is made of.
"""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from node.web.cors import CrossOrigin, allow
from node.web.problems import gone, too_large
from resolver.target import BodyTooLarge

HANDLES = "/api/handles/"

Endpoint = Callable[[Request], Awaitable[Response]]
Compressed = Callable[[ASGIApp], ASGIApp]


class Straight:
    """ASGI middleware, outside of all others."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        endpoints: Mapping[str, Endpoint],
        compressed: Compressed,
        compressed_from: int,
    ) -> None:
        """`endpoints` by method; an answer of `compressed_from` bytes and more is sent by way of `compressed`."""
        self._app = app
        self._endpoints = endpoints
        self._compressed = compressed
        self._compressed_from = compressed_from

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        endpoint = None
        if scope["type"] == "http" and scope["path"].startswith(HANDLES):
            endpoint = self._endpoints.get(scope["method"])
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        response = await _answer(endpoint, Request(scope, receive))
        if len(response.body) >= self._compressed_from:
            await CrossOrigin(self._compressed(response))(scope, receive, send)
            return
        is_by_script = any(name == b"origin" for name, _ in scope["headers"])
        allow(response.headers, asks=False, by_script=is_by_script)
        await response(scope, receive, send)


async def _answer(endpoint: Endpoint, request: Request) -> Response:
    try:
        return await endpoint(request)
    except BodyTooLarge as error:
        return await too_large(request, error)
    except ClientDisconnect as error:
        return await gone(request, error)
