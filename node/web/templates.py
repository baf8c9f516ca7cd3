"""`/v1/templates` on the admin listener: metadata templates of enterprises and of the node, by name and version."""

from fastapi import Request
from fastapi.responses import Response

from node.model.rule import ModelError, Rule
from node.model.template import Template
from node.registry.objects import (
    Actor,
    Held,
    ObjectExists,
    ObjectKind,
    ObjectMissing,
    Objects,
    VersionMoved,
    template_id,
)
from node.web.asked import Asked
from node.web.objectdesk import ObjectDesk, enterprise_of, if_version_of, key_of, read_form
from node.web.objectforms import TemplateStep
from node.web.objectview import ObjectView, tell, tell_new

ROOT = b"/v1/templates"
NEW = 0  # the version of what must not be there yet


class TemplatesApi:
    """The endpoints; each is handed a request and returns the response."""

    def __init__(self, desk: ObjectDesk, objects: Objects) -> None:
        self.view = ObjectView(desk, objects, ObjectKind.TEMPLATE)
        self._desk = desk
        self._objects = objects

    async def create(self, request: Request) -> Response:
        """POST: a new version of a template, as a draft."""
        return await self._desk.serve(request, ROOT, self._create)

    async def put(self, request: Request) -> Response:
        """PUT `…/{id}`: the text of a draft, or a wider one of what was published."""
        return await self._desk.serve(request, ROOT, self._put)

    async def step(self, request: Request) -> Response:
        """POST `…/{id}/steps`: publish, withdraw or delete it."""
        return await self._desk.serve(request, ROOT, self._step)

    async def _create(self, asked: Asked, actor: Actor) -> Response:
        template = await read_form(Template, asked)
        whose = enterprise_of(asked)
        try:
            held = await self._objects.put_template(
                template, actor, enterprise=whose, if_version=NEW
            )
        except VersionMoved as moved:
            raise ObjectExists(ObjectKind.TEMPLATE, moved.held.id) from None
        return tell_new(held)

    async def _put(self, asked: Asked, actor: Actor) -> Response:
        template, held = await read_form(Template, asked), await self._held(asked)
        if template_id(template.name, template.version) != held.id:
            raise ModelError("name", Rule.KEPT, "this names another template; create that one")
        return tell(
            await self._objects.put_template(
                template, actor, enterprise=held.enterprise, if_version=if_version_of(asked)
            )
        )

    async def _step(self, asked: Asked, actor: Actor) -> Response:
        step, held = await read_form(TemplateStep, asked), await self._held(asked)
        template = held.value
        if not isinstance(template, Template):
            raise ObjectMissing(ObjectKind.TEMPLATE, held.id)
        return tell(
            await self._objects.step_template(
                template.name,
                template.version,
                step.action,
                actor,
                if_version=if_version_of(asked),
            )
        )

    async def _held(self, asked: Asked) -> Held:
        return await self.view.read(key_of(asked))
