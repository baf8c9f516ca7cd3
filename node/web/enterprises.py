"""`/v1/enterprises` on the admin listener: enterprises apply, are verified by their real names, reviewed, disabled."""

from fastapi.responses import Response

from node.model.enterprise import Verification
from node.model.entity import Entity
from node.registry.objects import Actor, ObjectKind, Objects
from node.web.asked import Asked
from node.web.objectdesk import if_version_of, key_of, read_form
from node.web.objectforms import EnterpriseStep
from node.web.objectview import ObjectView, tell, tell_new


class EnterprisesApi:
    """The answers; what is refused is raised, and told by the desk."""

    def __init__(self, objects: Objects) -> None:
        self.view = ObjectView(objects, ObjectKind.ENTERPRISE)
        self._objects = objects

    async def apply(self, asked: Asked, actor: Actor) -> Response:
        """POST: the first form of an enterprise."""
        form = await read_form(Entity, asked)
        number = asked.parameters.first(b"id")
        chosen = None if number is None else number.decode("utf-8", "replace")
        return tell_new(await self._objects.apply_enterprise(form, actor, id=chosen))

    async def step(self, asked: Asked, actor: Actor) -> Response:
        """POST `…/{id}/steps`: a step of its life."""
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

    async def verify(self, asked: Asked, actor: Actor) -> Response:
        """PUT `…/{id}/verification`: the result of real-name verification."""
        verification = await read_form(Verification, asked)
        held = await self._objects.verify_enterprise(
            key_of(asked), verification, actor, if_version=if_version_of(asked)
        )
        return tell(held)
