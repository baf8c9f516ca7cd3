"""HostNames: the page is answered only under its own names, so that a foreign one that leads here reads nothing.

A page of somebody else's, whose name is made to lead to this machine (DNS rebinding), may ask whatever it likes under
that name, and the browser lets it read the answer.  So a name must be ours; an address cannot be made to lead anywhere
else.  Witnesses are asked by logs, under whatever name they were given, and tell nothing that is not public.
"""

from collections.abc import Collection, Sequence
from http import HTTPStatus
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from node.toplevel.desk import refuse


class HostNames:
    """An application, under these names and any address; paths that end so are `open_to_all`, under all names."""

    def __init__(
        self, app: ASGIApp, names: Collection[str], open_to_all: Sequence[str] = ()
    ) -> None:
        self._app = app
        self._names = frozenset(names)
        self._open = tuple(open_to_all)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with 403."""
        if (
            scope["type"] != "http"
            or scope["path"] in self._open
            or self._is_ours(Headers(scope=scope))
        ):
            await self._app(scope, receive, send)
            return
        said = "this listener is not asked under that name; --host adds one"
        await refuse(HTTPStatus.FORBIDDEN, "forbidden", said)(scope, receive, send)

    def _is_ours(self, headers: Headers) -> bool:
        given = headers.get("host", "")
        name = given[: given.rfind("]") + 1] if given.startswith("[") else given.partition(":")[0]
        name = name.strip("[]").lower()
        return name in self._names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
