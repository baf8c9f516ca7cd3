"""The desk for objects of the model (`/v1/enterprises` and its neighbours): who asks acts, and what is refused is told.

What is handed in and breaks a rule is 422 with all faults; a step that the object's standing does not allow is 409.
A problem names the field and the rule, and repeats nothing that may be personal.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from fastapi import Request
from fastapi.responses import Response

from node.model.field import Checked
from node.model.form import read
from node.model.role import Role
from node.model.rule import ModelError, Rule
from node.registry.objects import Actor, ObjectExists, ObjectMissing, VersionMoved
from node.web.asked import Asked, Told, read_json
from node.web.operators import OperatorDesk
from node.web.row import Endpoint
from resolver.httplogin import origin_of
from resolver.precondition import read_precondition
from resolver.problem import Problem
from resolver.registrar import MUST_EXIST, Caller
from resolver.source import SourceUnavailable

MAX_BODY_BYTES = 1 << 20  # a template of 512 attributes, escaped and described
ROLES: Final = frozenset({Role.OPERATOR, Role.REVIEWER, Role.ENTERPRISE})
"""An operator does his own work, that of reviewers, and what enterprises have him do."""

BUSY = "The database cannot be reached at the moment; a step may have been taken: look before you take it again"

_OF_THE_STANDING = frozenset(
    {
        Rule.NEEDS_VERIFICATION,
        Rule.NEEDS_APPROVED_FORM,
        Rule.NEEDS_ADMITTED_ENTERPRISE,
        Rule.NEEDS_SERVICE,
        Rule.NEEDS_UNUSED,
    }
)

ObjectAct = Callable[[Asked, Actor], Awaitable[Response]]
Form = TypeVar("Form", bound=Checked)


class ObjectDesk:
    """Where each request about objects arrives."""

    def __init__(self, desk: OperatorDesk) -> None:
        self._desk = desk

    def endpoint(self, root: str, act: ObjectAct) -> Endpoint:
        """Return an endpoint below `root` for operators that answers by `act`.

        `act` may raise what the use cases of objects raise; by its name the OpenAPI document knows the endpoint.
        """

        async def carry_out(asked: Asked, caller: Caller) -> Response:
            try:
                return await act(asked, _actor(asked, caller))
            except (ModelError, ObjectMissing, ObjectExists, VersionMoved) as error:
                raise told_of(error) from None  # the cause holds the form
            except SourceUnavailable:
                raise Told(Problem(503, "unavailable", BUSY)) from None

        async def endpoint(request: Request) -> Response:
            return await self._desk.serve(request, root.encode(), carry_out)

        endpoint.__name__, endpoint.__doc__ = act.__name__, act.__doc__
        return endpoint


async def read_form(kind: type[Form], asked: Asked) -> Form:
    """Return what the body hands in.  Raises ModelError with all faults, Told, TargetError, BodyTooLarge."""
    return read(kind, await read_json(asked.request, MAX_BODY_BYTES))


def key_of(asked: Asked) -> str:
    """Return the id in the path; one that no object can have is one that none has."""
    return str(asked.request.path_params["id"]).replace("\0", "\ufffd")


def enterprise_of(asked: Asked) -> str:
    """Return whose the object is to be; empty: the node's own."""
    return (
        (asked.parameters.first(b"enterprise") or b"")
        .decode("utf-8", "replace")
        .replace("\0", "\ufffd")
    )


def if_version_of(asked: Asked) -> int | None:
    """Return the version that the write depends on (0: there must be none).  Raises TargetError."""
    headers = asked.request.headers
    terms = read_precondition(headers.get("if-match"), headers.get("if-none-match"), None)
    return None if terms.if_version == MUST_EXIST else terms.if_version


def told_of(error: ModelError | ObjectMissing | ObjectExists | VersionMoved) -> Told:
    """Return the problem for what a use case refused."""
    match error:
        case ModelError():
            return _told_of_rule(error)
        case ObjectMissing():
            return Told(Problem(404, "no_such_object", error.detail))
        case ObjectExists():
            return Told(Problem(409, "object_exists", error.detail))
        case VersionMoved():
            problem = Problem(412, "condition_failed", error.detail)
            return Told(problem, version=error.held.version)


def _told_of_rule(error: ModelError) -> Told:
    faults = [
        {"field": each.field, "rule": each.rule, "message": each.message}
        for each in error.list_all()
    ]
    if error.rule == Rule.ROLE:
        status, kind = 403, "step_not_yours"
    elif "." in error.rule or error.rule in _OF_THE_STANDING:
        status, kind = 409, "step_refused"
    else:
        status, kind = 422, "rule_broken"
    return Told(
        Problem(status, kind, str(error)), rule=error.rule, field=error.field, faults=faults
    )


def _actor(asked: Asked, caller: Caller) -> Actor:
    return Actor(ROLES, caller.name, caller.means, origin_of(asked.request.scope))
