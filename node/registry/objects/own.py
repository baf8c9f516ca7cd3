"""Own data: what the top-level node is told about this node itself: its operator (表1) and its routes (表2)."""

from collections.abc import Sequence

from node.model.operator import Operator
from node.model.role import OPERATORS
from node.model.rule import ModelError, Rule
from node.model.site import Route
from node.registry.objects.desk import Desk
from node.registry.objects.held import Actor, Held, ObjectKind
from node.registry.objects.identity import route_id
from node.registry.objects.transaction import Deed, Transaction, Whose, check_new, check_version

PUT_OPERATOR = "operator.put"
PUT_ROUTES = "route.put"


class OwnData(Desk):
    """Keeps the operator and the routes.  All raise as those of `Enterprises`; only an operator may."""

    async def put_operator(
        self, operator: Operator, actor: Actor, *, if_version: int | None = None
    ) -> Held:
        """Say who runs this node; the prefix must be the node's own.  What is there just so is no step."""
        _check_role(actor)
        if operator.prefix != self._secondary:
            raise ModelError(
                "prefix", Rule.TOGETHER, f"the prefix of this node is {self._secondary}"
            )

        async def work(step: Transaction) -> Held:
            held = await step.find(ObjectKind.OPERATOR, operator.prefix)
            if held is None:
                check_new(ObjectKind.OPERATOR, operator.prefix, if_version)
                return await step.put(operator, None)
            check_version(held, if_version)
            return held if held.value == operator else await step.put(operator, held)

        return await self._take(Deed(PUT_OPERATOR, actor), work)

    async def put_routes(self, routes: Sequence[Route], actor: Actor) -> list[Held]:
        """Say where the node answers: these routes and no others.  What stays as it is gets no step."""
        _check_role(actor)
        wanted = {route_id(route): route for route in routes}
        if len(wanted) < len(routes):
            raise ModelError(
                "routes", Rule.UNIQUE, "give each prefix of a type once, with all sites"
            )

        async def work(step: Transaction) -> list[Held]:
            known = {held.id: held for held in await step.hold_all(ObjectKind.ROUTE, "")}
            for key in known.keys() - wanted.keys():
                if known[key].state != "gone":
                    await step.put(known[key].value, known[key], Whose(is_kept=False))
            return [await _put_route(step, route, known.get(key)) for key, route in wanted.items()]

        return await self._take(Deed(PUT_ROUTES, actor), work)


async def _put_route(step: Transaction, route: Route, held: Held | None) -> Held:
    is_same = held is not None and (held.state, held.value) == ("kept", route)
    return held if held is not None and is_same else await step.put(route, held)


def _check_role(actor: Actor) -> None:
    if OPERATORS.isdisjoint(actor.roles):
        raise ModelError("", Rule.ROLE, "only operator may say this of the node")
