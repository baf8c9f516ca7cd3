"""`/v1/operator` and `/v1/routes` on the admin listener: what the top-level node is told about this node itself."""

from collections.abc import Sequence

from fastapi import Request
from fastapi.responses import Response

from node.model.operator import Operator
from node.registry.objects import Actor, Held, ObjectKind, ObjectMissing, Objects
from node.web.asked import Asked
from node.web.objectdesk import ObjectDesk, if_version_of, read_form
from node.web.objectforms import MAX_ROUTES, Routes
from node.web.objectview import held_json, respond, show, tell

OPERATOR, ROUTES = b"/v1/operator", b"/v1/routes"
KEPT = "kept"  # the state of a route that is not gone


class OwnDataApi:
    """The endpoints; each is handed a request and returns the response."""

    def __init__(self, desk: ObjectDesk, objects: Objects) -> None:
        self._desk = desk
        self._objects = objects

    async def show_operator(self, request: Request) -> Response:
        """GET `/v1/operator`: who runs this node, masked unless `personal` is asked for."""
        return await self._desk.serve(request, OPERATOR, self._show_operator)

    async def put_operator(self, request: Request) -> Response:
        """PUT `/v1/operator`: say who runs this node."""
        return await self._desk.serve(request, OPERATOR, self._put_operator)

    async def list_routes(self, request: Request) -> Response:
        """GET `/v1/routes`: where this node answers."""
        return await self._desk.serve(request, ROUTES, self._list_routes)

    async def put_routes(self, request: Request) -> Response:
        """PUT `/v1/routes`: say where this node answers, all of it."""
        return await self._desk.serve(request, ROUTES, self._put_routes)

    async def _show_operator(self, asked: Asked, actor: Actor) -> Response:
        return show(asked, actor, await self._operator())

    async def _put_operator(self, asked: Asked, actor: Actor) -> Response:
        operator = await read_form(Operator, asked)
        held = await self._objects.put_operator(operator, actor, if_version=if_version_of(asked))
        return tell(held)

    async def _list_routes(self, _asked: Asked, _actor: Actor) -> Response:
        found = await self._objects.list(ObjectKind.ROUTE, state=KEPT, limit=MAX_ROUTES)
        return _routes(found)

    async def _put_routes(self, asked: Asked, actor: Actor) -> Response:
        form = await read_form(Routes, asked)
        return _routes(await self._objects.put_routes(form.routes, actor))

    async def _operator(self) -> Held:
        found = await self._objects.list(ObjectKind.OPERATOR, limit=1)  # there is one at most
        if not found:
            raise ObjectMissing(ObjectKind.OPERATOR, "of this node")
        return found[0]


def _routes(found: Sequence[Held]) -> Response:
    return respond(200, {"routes": [held_json(each) for each in found]})
