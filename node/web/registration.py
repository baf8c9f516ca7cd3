"""`/v1/registration` on the admin listener: what the top-level node does not take over EPP, and what it has decided."""

from collections.abc import Callable

from fastapi import Request
from fastapi.responses import Response

from node.store.registration import Registrations
from node.web.asked import Asked, respond
from node.web.operators import OperatorDesk
from resolver.registrar import Caller

ROOT = b"/v1/registration"
MAX_SHOWN = 100


class RegistrationApi:
    """The endpoint; `trouble` says what the channel waits for, empty when for nothing."""

    def __init__(
        self, store: Registrations, desk: OperatorDesk, trouble: Callable[[], str]
    ) -> None:
        self._store = store
        self._desk = desk
        self._trouble = trouble

    async def show(self, request: Request) -> Response:
        """GET: enterprises to be corrected, and the newest notices."""
        return await self._desk.serve(request, ROOT, self._show)

    async def _show(self, _asked: Asked, _caller: Caller) -> Response:
        refused = await self._store.refused(MAX_SHOWN)
        notices = await self._store.notices(MAX_SHOWN)
        told = {
            "trouble": self._trouble(),
            "refused": [each._asdict() for each in refused],
            "notices": [each._asdict() for each in notices],
        }
        return respond(200, told)
