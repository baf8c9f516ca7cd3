"""`/v1/prefixes` on the admin listener: enterprise prefixes, applied for, reviewed, hosted or delegated, stopped."""

from fastapi import Request
from fastapi.responses import Response

from node.registry.objects import Actor, ObjectKind, Objects
from node.web.asked import Asked
from node.web.objectdesk import ObjectDesk, if_version_of, key_of, read_form
from node.web.objectforms import HostingStep, PrefixApplication, PrefixSites, PrefixStep
from node.web.objectview import ObjectView, tell, tell_new

ROOT = b"/v1/prefixes"


class PrefixesApi:
    """The endpoints; each is handed a request and returns the response."""

    def __init__(self, desk: ObjectDesk, objects: Objects) -> None:
        self.view = ObjectView(desk, objects, ObjectKind.PREFIX)
        self._desk = desk
        self._objects = objects

    async def apply(self, request: Request) -> Response:
        """POST: an application for a prefix."""
        return await self._desk.serve(request, ROOT, self._apply)

    async def step(self, request: Request) -> Response:
        """POST `…/{id}/steps`: a step of its life."""
        return await self._desk.serve(request, ROOT, self._step)

    async def configure(self, request: Request) -> Response:
        """PUT `…/{id}/sites`: where the enterprise's own servers answer."""
        return await self._desk.serve(request, ROOT, self._configure)

    async def host(self, request: Request) -> Response:
        """POST `…/{id}/hosting`: a step about hosting."""
        return await self._desk.serve(request, ROOT, self._host)

    async def _apply(self, asked: Asked, actor: Actor) -> Response:
        form = await read_form(PrefixApplication, asked)
        held = await self._objects.apply_prefix(
            form.prefix, form.enterprise, actor, identifier_type=form.identifier_type
        )
        return tell_new(held)

    async def _step(self, asked: Asked, actor: Actor) -> Response:
        step = await read_form(PrefixStep, asked)
        held = await self._objects.step_prefix(
            key_of(asked), step.action, actor, reason=step.reason, if_version=if_version_of(asked)
        )
        return tell(held)

    async def _configure(self, asked: Asked, actor: Actor) -> Response:
        form = await read_form(PrefixSites, asked)
        held = await self._objects.configure_prefix(
            key_of(asked), form.sites, actor, if_version=if_version_of(asked)
        )
        return tell(held)

    async def _host(self, asked: Asked, actor: Actor) -> Response:
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
