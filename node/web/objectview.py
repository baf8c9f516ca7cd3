"""What can be read of the objects of one kind: a list, one of them, and its history.

Personal data is shown masked; who asks for it with `personal=true` sees one object whole, and that he did stands in
the log of the node, without the data.
"""

import logging
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from fastapi.responses import Response

from node.model.application import APPLICATION_LIFE, Application
from node.model.enterprise import ENTERPRISE_LIFE, Enterprise
from node.model.form import write, write_masked
from node.model.hosting import HOSTING_LIFE
from node.model.personal import has_personal
from node.model.prefix import Prefix
from node.model.stage import PREFIX_LIFE
from node.model.template import TEMPLATE_LIFE, Template
from node.registry.objects import (
    Actor,
    Held,
    ObjectExists,
    ObjectKind,
    ObjectMissing,
    Objects,
    Step,
    VersionMoved,
)
from node.web.asked import Asked, respond
from node.web.objectdesk import ROLES, key_of
from resolver.precondition import etag
from resolver.target import Parameters, TargetError

NEW = 0  # the version of what must not be there yet
MAX_PAGE, USUAL_PAGE = 1_000, 100
MAX_VERSION = 2**31 - 1
PLURALS = {
    ObjectKind.OPERATOR: "operators",
    ObjectKind.ROUTE: "routes",
    ObjectKind.ENTERPRISE: "enterprises",
    ObjectKind.PREFIX: "prefixes",
    ObjectKind.TEMPLATE: "templates",
    ObjectKind.APPLICATION: "applications",
}
STATES: Mapping[ObjectKind, tuple[str, ...]] = {
    ObjectKind.ENTERPRISE: tuple(str(state.value) for state in ENTERPRISE_LIFE.states),
    ObjectKind.PREFIX: tuple(str(state.value) for state in PREFIX_LIFE.states),
    ObjectKind.TEMPLATE: tuple(str(state.value) for state in TEMPLATE_LIFE.states),
    ObjectKind.APPLICATION: tuple(str(state.value) for state in APPLICATION_LIFE.states),
}
Json = dict[str, object]

log = logging.getLogger(__name__)


class ObjectView:
    """The answers about one kind."""

    def __init__(self, objects: Objects, kind: ObjectKind) -> None:
        self._objects = objects
        self._kind = kind

    async def read(self, asked: Asked) -> Held:
        """Return the object that the path names.  Raises ObjectMissing."""
        key = key_of(asked)
        held = await self._objects.read(self._kind, key)
        if held is None:
            raise ObjectMissing(self._kind, key)
        return held

    async def list(self, asked: Asked, _actor: Actor) -> Response:
        """GET: the objects in the order of their ids, masked."""
        parameters = asked.parameters
        limit = _number(parameters, b"limit", MAX_PAGE) or USUAL_PAGE
        found = await self._objects.list(
            self._kind,
            enterprise=_text(parameters, b"enterprise"),
            state=_state(parameters, self._kind),
            after=_text(parameters, b"after") or "",
            limit=limit,
        )
        body: Json = {PLURALS[self._kind]: [held_json(each) for each in found]}
        return respond(200, body | ({"after": found[-1].id} if len(found) == limit else {}))

    async def show(self, asked: Asked, actor: Actor) -> Response:
        """GET: one object, masked unless `personal` is asked for."""
        return show(asked, actor, await self.read(asked))

    async def history(self, asked: Asked, _actor: Actor) -> Response:
        """GET: the steps that brought it where it is, the oldest first; nothing that is personal."""
        key = key_of(asked)
        limit = _number(asked.parameters, b"limit", MAX_PAGE) or USUAL_PAGE
        after = _number(asked.parameters, b"after", MAX_VERSION)
        steps = await self._objects.history(self._kind, key, after=after, limit=limit)
        if not steps:
            await self.read(asked)
        body: Json = {"id": key, "steps": [step_json(each) for each in steps]}
        return respond(200, body | ({"after": steps[-1].version} if len(steps) == limit else {}))


def show(asked: Asked, actor: Actor, held: Held) -> Response:
    """Return an object as its reader may see it; 304 when he has it.  Notes in the log who saw what is personal."""
    headers = {"ETag": etag(held.version)}
    if asked.request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    personal = asked.parameters.flag(b"personal") and has_personal(type(held.value))
    if personal:
        told = {"caller": actor.caller, "kind": held.kind.value, "object": held.id}
        log.warning("personal data is read", extra=told)
    return respond(200, held_json(held, personal=personal), headers)


def tell(held: Held) -> Response:
    """Return an object after a step, masked."""
    return respond(200, held_json(held), {"ETag": etag(held.version)})


def tell_new(held: Held) -> Response:
    """Return an object that is there now, masked, with its place."""
    place = f"/v1/{PLURALS[held.kind]}/{quote(held.id)}"
    return respond(201, held_json(held), {"ETag": etag(held.version), "Location": place})


async def tell_created(put: Awaitable[Held]) -> Response:
    """Return what is put where nothing may be yet (`if_version` NEW).  Raises ObjectExists for a name that is taken."""
    try:
        return tell_new(await put)
    except VersionMoved as moved:
        raise ObjectExists(moved.held.kind, moved.held.id) from None


def held_json(held: Held, *, personal: bool = False) -> Json:
    """Return an object as JSON; `actions` are the steps that an operator may take from its state."""
    return {
        "kind": held.kind.value,
        "id": held.id,
        "enterprise": held.enterprise,
        "state": held.state,
        "version": held.version,
        "changed_at": _time(held.changed_at),
        "actions": _actions(held),
        **_numbers(held),
        "value": write(held.value) if personal else write_masked(held.value),
    }


def _actions(held: Held) -> list[str]:
    match held.value:
        case Enterprise(state=state):
            return [action.value for action in ENTERPRISE_LIFE.actions_from(state, ROLES)]
        case Prefix(stage=stage):
            return [action.value for action in PREFIX_LIFE.actions_from(stage, ROLES)]
        case Template(state=state):
            return [action.value for action in TEMPLATE_LIFE.actions_from(state, ROLES)]
        case Application(state=state):
            return [action.value for action in APPLICATION_LIFE.actions_from(state, ROLES)]
    return []


def _numbers(held: Held) -> Json:
    """The public numbers of a prefix: its status, 0 to 5, and how it is hosted, 1 to 4; with the steps about that."""
    if not isinstance(held.value, Prefix):
        return {}
    hosting = held.value.hosting
    steps = [action.value for action in HOSTING_LIFE.actions_from(hosting, ROLES)]
    return {"status": held.value.status.value, "hosting": hosting.value, "hosting_actions": steps}


def step_json(step: Step) -> Json:
    """Return a step of a history as JSON."""
    return {**step._asdict(), "at": _time(step.at)}


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _state(parameters: Parameters, kind: ObjectKind) -> str | None:
    state, known = _text(parameters, b"state"), STATES.get(kind, ())
    if state is not None and state not in known:
        raise TargetError(f"state must be one of {', '.join(known)}")
    return state


def _text(parameters: Parameters, name: bytes) -> str | None:
    given = parameters.first(name)
    return None if given is None else given.decode("utf-8", "replace").replace("\0", "\ufffd")


def _number(parameters: Parameters, name: bytes, most: int) -> int:
    """Return a number from 1 on; 0 when it is not given.  Raises TargetError."""
    found = parameters.indexes(name)
    if found and not 1 <= found[0] <= most:
        raise TargetError(f"{name.decode()} must be from 1 to {most}")
    return found[0] if found else 0
