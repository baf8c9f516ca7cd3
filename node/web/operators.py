"""What every endpoint for operators has in common: who asks must be one."""

from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.responses import Response

from node.registry.operators import Operators
from node.web.asked import AdminDesk, Asked, told
from resolver.registrar import Caller, Scope
from resolver.wire import ResponseCode

OPERATORS_ONLY = "This is for the operator and the administrators of this server"

OperatorAct = Callable[[Asked, Caller], Awaitable[Response]]


class OperatorDesk:
    """An admin desk that turns away who is no operator."""

    def __init__(self, desk: AdminDesk, operators: Operators) -> None:
        self.desk = desk
        self._operators = operators

    async def serve(
        self,
        request: Request,
        root: bytes,
        act: OperatorAct,
        scopes: frozenset[Scope] = frozenset(),
    ) -> Response:
        """Answer a request by `act`, which may raise what an admin desk knows.

        A token needs `scopes` as well: what it is not for, it is not for in bulk either.
        """

        async def permitted(asked: Asked) -> Response:
            if asked.caller is None:
                raise told(ResponseCode.AUTHENTICATION_NEEDED)
            if not await self._operators.admits(asked.caller):
                raise told(ResponseCode.INSUFFICIENT_PERMISSIONS, OPERATORS_ONLY)
            if asked.caller.scopes is not None and not scopes <= asked.caller.scopes:
                sentence = f"This token is not for this ({', '.join(sorted(scopes))})"
                raise told(ResponseCode.INSUFFICIENT_PERMISSIONS, sentence)
            return await act(asked, asked.caller)

        return await self.desk.serve(request, root, permitted)
