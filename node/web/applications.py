"""`/v1/applications` on the admin listener: software that uses identifiers, of enterprises and of the node itself."""

from fastapi.responses import Response

from node.model.application import Application
from node.model.rule import ModelError, Rule
from node.registry.objects import Actor, ObjectKind, Objects, id_of
from node.web.asked import Asked
from node.web.objectdesk import enterprise_of, if_version_of, key_of, read_form
from node.web.objectforms import ApplicationStep
from node.web.objectview import NEW, ObjectView, tell, tell_created


class ApplicationsApi:
    """The answers; what is refused is raised, and told by the desk."""

    def __init__(self, objects: Objects) -> None:
        self.view = ObjectView(objects, ObjectKind.APPLICATION)
        self._objects = objects

    async def register(self, asked: Asked, actor: Actor) -> Response:
        """POST: a new application."""
        application, whose = await read_form(Application, asked), enterprise_of(asked)
        put = self._objects.put_application
        return await tell_created(put(application, actor, enterprise=whose, if_version=NEW))

    async def put(self, asked: Asked, actor: Actor) -> Response:
        """PUT `…/{id}`: what is told of an application in use."""
        application, held = await read_form(Application, asked), await self.view.read(asked)
        if id_of(application, held.enterprise) != held.id:
            raise ModelError("name", Rule.KEPT, "this names another application; register that one")
        whose, version = held.enterprise, if_version_of(asked)
        put = self._objects.put_application
        return tell(await put(application, actor, enterprise=whose, if_version=version))

    async def step(self, asked: Asked, actor: Actor) -> Response:
        """POST `…/{id}/steps`: retire or resume it."""
        step = await read_form(ApplicationStep, asked)
        held = await self._objects.step_application(
            key_of(asked), step.action, actor, if_version=if_version_of(asked)
        )
        return tell(held)
