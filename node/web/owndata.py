"""`/v1/operator` and `/v1/routes` on the admin listener: what the top-level node is told about this node itself."""

from collections.abc import Sequence

from fastapi.responses import Response

from node.model.operator import Operator
from node.registry.objects import Actor, Held, ObjectKind, ObjectMissing, Objects
from node.web.asked import Asked, respond
from node.web.objectdesk import if_version_of, read_form
from node.web.objectforms import MAX_ROUTES, Routes
from node.web.objectview import held_json, show, tell

KEPT = "kept"  # the state of a route that is not gone


class OwnDataApi:
    """The answers; what is refused is raised, and told by the desk."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def show_operator(self, asked: Asked, actor: Actor) -> Response:
        """GET `/v1/operator`: who runs this node, masked unless `personal` is asked for."""
        return show(asked, actor, await self._operator())

    async def put_operator(self, asked: Asked, actor: Actor) -> Response:
        """PUT `/v1/operator`: say who runs this node."""
        operator = await read_form(Operator, asked)
        held = await self._objects.put_operator(operator, actor, if_version=if_version_of(asked))
        return tell(held)

    async def list_routes(self, _asked: Asked, _actor: Actor) -> Response:
        """GET `/v1/routes`: where this node answers."""
        found = await self._objects.list(ObjectKind.ROUTE, state=KEPT, limit=MAX_ROUTES)
        return _routes(found)

    async def put_routes(self, asked: Asked, actor: Actor) -> Response:
        """PUT `/v1/routes`: say where this node answers, all of it."""
        form = await read_form(Routes, asked)
        return _routes(await self._objects.put_routes(form.routes, actor))

    async def _operator(self) -> Held:
        found = await self._objects.list(ObjectKind.OPERATOR, limit=1)  # there is one at most
        if not found:
            raise ObjectMissing(ObjectKind.OPERATOR, "of this node")
        return found[0]


def _routes(found: Sequence[Held]) -> Response:
    return respond(200, {"routes": [held_json(each) for each in found]})
