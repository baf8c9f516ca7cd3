"""`/v1/prefixes` on the admin listener: enterprise prefixes, applied for, reviewed, hosted or delegated, stopped."""

from fastapi.responses import Response

from node.registry.objects import Actor, ObjectKind, Objects
from node.web.asked import Asked
from node.web.objectdesk import if_version_of, key_of, read_form
from node.web.objectforms import HostingStep, PrefixApplication, PrefixSites, PrefixStep
from node.web.objectview import ObjectView, tell, tell_new


class PrefixesApi:
    """The answers; what is refused is raised, and told by the desk."""

    def __init__(self, objects: Objects) -> None:
        self.view = ObjectView(objects, ObjectKind.PREFIX)
        self._objects = objects

    async def apply(self, asked: Asked, actor: Actor) -> Response:
        """POST: an application for a prefix."""
        form = await read_form(PrefixApplication, asked)
        held = await self._objects.apply_prefix(
            form.prefix, form.enterprise, actor, identifier_type=form.identifier_type
        )
        return tell_new(held)

    async def step(self, asked: Asked, actor: Actor) -> Response:
        """POST `…/{id}/steps`: a step of its life."""
        step = await read_form(PrefixStep, asked)
        held = await self._objects.step_prefix(
            key_of(asked), step.action, actor, reason=step.reason, if_version=if_version_of(asked)
        )
        return tell(held)

    async def configure(self, asked: Asked, actor: Actor) -> Response:
        """PUT `…/{id}/sites`: where the enterprise's own servers answer."""
        form = await read_form(PrefixSites, asked)
        held = await self._objects.configure_prefix(
            key_of(asked), form.sites, actor, if_version=if_version_of(asked)
        )
        return tell(held)

    async def host(self, asked: Asked, actor: Actor) -> Response:
        """POST `…/{id}/hosting`: a step about hosting."""
        step = await read_form(HostingStep, asked)
        held = await self._objects.step_hosting(
            key_of(asked),
            step.action,
            actor,
            reason=step.reason,
            server=step.server,
            sites=step.sites,
            if_version=if_version_of(asked),
        )
        return tell(held)
