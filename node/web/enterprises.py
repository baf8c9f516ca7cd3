"""`/v1/enterprises` on the admin listener: enterprises apply, are verified by their real names, reviewed, disabled."""

from fastapi import Request
from fastapi.responses import Response

from node.model.enterprise import Verification
from node.model.entity import Entity
from node.registry.objects import Actor, ObjectKind, Objects
from node.web.asked import Asked
from node.web.objectdesk import ObjectDesk, if_version_of, key_of, read_form
from node.web.objectforms import EnterpriseStep
from node.web.objectview import ObjectView, tell, tell_new

ROOT = b"/v1/enterprises"


class EnterprisesApi:
    """The endpoints; each is handed a request and returns the response."""

    def __init__(self, desk: ObjectDesk, objects: Objects) -> None:
        self.view = ObjectView(desk, objects, ObjectKind.ENTERPRISE)
        self._desk = desk
        self._objects = objects

    async def apply(self, request: Request) -> Response:
        """POST: the first form of an enterprise."""
        return await self._desk.serve(request, ROOT, self._apply)

    async def step(self, request: Request) -> Response:
        """POST `…/{id}/steps`: a step of its life."""
        return await self._desk.serve(request, ROOT, self._step)

    async def verify(self, request: Request) -> Response:
        """PUT `…/{id}/verification`: the result of real-name verification."""
        return await self._desk.serve(request, ROOT, self._verify)

    async def _apply(self, asked: Asked, actor: Actor) -> Response:
        form = await read_form(Entity, asked)
        number = asked.parameters.first(b"id")
        chosen = None if number is None else number.decode("utf-8", "replace")
        return tell_new(await self._objects.apply_enterprise(form, actor, id=chosen))

    async def _step(self, asked: Asked, actor: Actor) -> Response:
        step = await read_form(EnterpriseStep, asked)
        held = await self._objects.step_enterprise(
            key_of(asked),
            step.action,
            actor,
            reason=step.reason,
            form=step.form,
            if_version=if_version_of(asked),
        )
        return tell(held)

    async def _verify(self, asked: Asked, actor: Actor) -> Response:
        verification = await read_form(Verification, asked)
        held = await self._objects.verify_enterprise(
            key_of(asked), verification, actor, if_version=if_version_of(asked)
        )
        return tell(held)
