"""`/v1/applications` on the admin listener: software that uses identifiers, of enterprises and of the node itself."""

from fastapi import Request
from fastapi.responses import Response

from node.model.application import Application
from node.model.rule import ModelError, Rule
from node.registry.objects import (
    Actor,
    Held,
    ObjectExists,
    ObjectKind,
    ObjectMissing,
    Objects,
    VersionMoved,
    application_id,
)
from node.web.asked import Asked
from node.web.objectdesk import ObjectDesk, enterprise_of, if_version_of, key_of, read_form
from node.web.objectforms import ApplicationStep
from node.web.objectview import ObjectView, tell, tell_new

ROOT = b"/v1/applications"
NEW = 0  # the version of what must not be there yet


class ApplicationsApi:
    """The endpoints; each is handed a request and returns the response."""

    def __init__(self, desk: ObjectDesk, objects: Objects) -> None:
        self.view = ObjectView(desk, objects, ObjectKind.APPLICATION)
        self._desk = desk
        self._objects = objects

    async def register(self, request: Request) -> Response:
        """POST: a new application."""
        return await self._desk.serve(request, ROOT, self._register)

    async def put(self, request: Request) -> Response:
        """PUT `…/{id}`: what is told of an application in use."""
        return await self._desk.serve(request, ROOT, self._put)

    async def step(self, request: Request) -> Response:
        """POST `…/{id}/steps`: retire or resume it."""
        return await self._desk.serve(request, ROOT, self._step)

    async def _register(self, asked: Asked, actor: Actor) -> Response:
        application = await read_form(Application, asked)
        whose = enterprise_of(asked)
        try:
            held = await self._objects.put_application(
                application, actor, enterprise=whose, if_version=NEW
            )
        except VersionMoved as moved:
            raise ObjectExists(ObjectKind.APPLICATION, moved.held.id) from None
        return tell_new(held)

    async def _put(self, asked: Asked, actor: Actor) -> Response:
        application, held = await read_form(Application, asked), await self._held(asked)
        if application_id(held.enterprise, application.name) != held.id:
            raise ModelError("name", Rule.KEPT, "this names another application; register that one")
        return tell(
            await self._objects.put_application(
                application, actor, enterprise=held.enterprise, if_version=if_version_of(asked)
            )
        )

    async def _step(self, asked: Asked, actor: Actor) -> Response:
        step, held = await read_form(ApplicationStep, asked), await self._held(asked)
        application = held.value
        if not isinstance(application, Application):
            raise ObjectMissing(ObjectKind.APPLICATION, held.id)
        return tell(
            await self._objects.step_application(
                application.name,
                step.action,
                actor,
                enterprise=held.enterprise,
                if_version=if_version_of(asked),
            )
        )

    async def _held(self, asked: Asked) -> Held:
        return await self.view.read(key_of(asked))
