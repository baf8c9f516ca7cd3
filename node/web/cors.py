"""CORS: scripts of any origin may ask, without credentials (spec "CORS and the rest").

A preflight is answered here and reaches no route.  Every answer says that any origin may read it; one that was asked
for by a script also lists its headers that the script may see.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = "GET, POST, HEAD, PUT, DELETE, OPTIONS"
HEADERS = (
    "X-Requested-With, Authorization, Origin, Accept, Content-Type, If-Match, If-None-Match, Idempotency-Key, "
    "X-Idnode-Reason, X-Idnode-Receipt"
)
MAX_AGE_SECONDS = 86_400

_SIMPLE = frozenset(
    {"cache-control", "content-language", "content-type", "expires", "last-modified", "pragma"}
)
_PREFLIGHT = {
    "Access-Control-Allow-Methods": METHODS,
    "Access-Control-Allow-Headers": HEADERS,
    "Access-Control-Max-Age": str(MAX_AGE_SECONDS),
}


class CrossOrigin:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, asks = Headers(scope=scope), scope["method"] == "OPTIONS"

        async def open_up(message: Message) -> None:
            if message["type"] == "http.response.start":
                allow(MutableHeaders(scope=message), asks=asks, by_script="origin" in headers)
            await send(message)

        if asks and "origin" in headers and "access-control-request-method" in headers:
            await Response(status_code=200)(scope, receive, open_up)
        else:
            await self._app(scope, receive, open_up)


def allow(headers: MutableHeaders, *, asks: bool, by_script: bool) -> None:
    """Say in the headers of an answer that any origin may read it."""
    exposed = [name for name in headers if name not in _SIMPLE] if by_script else []
    headers["Access-Control-Allow-Origin"] = "*"
    if asks:
        headers.update(_PREFLIGHT)
    elif by_script:
        headers["Access-Control-Expose-Headers"] = ", ".join(exposed)
