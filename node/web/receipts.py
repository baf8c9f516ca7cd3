"""Receipts: an answer to who asks for one (`X-Idnode-Receipt: 1`) says what its record in the ledger is called.

    X-Idnode-Receipt: log.example/ledger;0.41.5050370.1f3a9c02;18211.da7fe752…    origin; record and nonce; newest head

It is no signature: with it, who asks finds the record's proof at once (`/v1/log/receipt/…`), and has a head of the log
that nobody can take back.  Who does not ask pays for a look at the headers; answers that are ready are not looked at.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resolver.recorder import RECEIPTS

WANTED = (b"x-idnode-receipt", b"1")


class Receipts:
    """ASGI middleware, inside of all others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or WANTED not in scope["headers"]:
            await self._app(scope, receive, send)
            return
        receipts: list[bytes] = []
        scope[RECEIPTS] = receipts

        async def give(message: Message) -> None:
            if message["type"] == "http.response.start" and receipts:
                message["headers"] = [*message["headers"], (WANTED[0], receipts[-1])]
            await send(message)

        await self._app(scope, receive, give)
