"""Own data: what the top-level node is told about this node itself: its operator (表1) and its routes (表2)."""

from collections.abc import Sequence

from node.model.operator import Operator
from node.model.site import Route
from node.registry.objects.desk import Desk
from node.registry.objects.held import Actor, Held


class OwnData(Desk):
    """Keeps the operator and the routes.  All raise as those of `Enterprises`; only an operator may."""

    async def put_operator(
        self, operator: Operator, actor: Actor, *, if_version: int | None = None
    ) -> Held:
        """Say who runs this node; the prefix must be the node's own."""
        raise NotImplementedError

    async def put_routes(self, routes: Sequence[Route], actor: Actor) -> list[Held]:
        """Say where the node answers: these routes and no others.  What stays as it is gets no step."""
        raise NotImplementedError
