"""`/v1/templates` on the admin listener: metadata templates of enterprises and of the node, by name and version."""

from fastapi.responses import Response

from node.model.rule import ModelError, Rule
from node.model.template import Template
from node.registry.objects import Actor, ObjectKind, Objects, id_of
from node.web.asked import Asked
from node.web.objectdesk import enterprise_of, if_version_of, key_of, read_form
from node.web.objectforms import TemplateStep
from node.web.objectview import NEW, ObjectView, tell, tell_created


class TemplatesApi:
    """The answers; what is refused is raised, and told by the desk."""

    def __init__(self, objects: Objects) -> None:
        self.view = ObjectView(objects, ObjectKind.TEMPLATE)
        self._objects = objects

    async def create(self, asked: Asked, actor: Actor) -> Response:
        """POST: a new version of a template, as a draft."""
        template, whose = await read_form(Template, asked), enterprise_of(asked)
        put = self._objects.put_template
        return await tell_created(put(template, actor, enterprise=whose, if_version=NEW))

    async def put(self, asked: Asked, actor: Actor) -> Response:
        """PUT `…/{id}`: the text of a draft, or a wider one of what was published."""
        template, held = await read_form(Template, asked), await self.view.read(asked)
        if id_of(template) != held.id:
            raise ModelError("name", Rule.KEPT, "this names another template; create that one")
        whose, version = held.enterprise, if_version_of(asked)
        put = self._objects.put_template
        return tell(await put(template, actor, enterprise=whose, if_version=version))

    async def step(self, asked: Asked, actor: Actor) -> Response:
        """POST `…/{id}/steps`: publish, withdraw or delete it."""
        step = await read_form(TemplateStep, asked)
        held = await self._objects.step_template(
            key_of(asked), step.action, actor, if_version=if_version_of(asked)
        )
        return tell(held)
