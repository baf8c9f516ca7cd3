"""`POST /v1/log/seal` on the admin listener: have all that was counted sealed, signed and cosigned at once.

The cadence is a checkpoint every ten seconds and a round of the witnesses each minute; who has just ended a load test,
or hands over evidence, need not wait for either.  Each request costs a checkpoint and a round of all witnesses, so
there is one in SEAL_EVERY_SECONDS, whoever asks.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from fastapi import Request
from fastapi.responses import Response

from node.ledger.inbox import NotTaken, ask
from node.web.asked import Asked, Told, respond
from node.web.log_operations import SEAL_NOW
from node.web.operators import OperatorDesk
from node.web.row import Row, Section
from resolver.problem import PROBLEM_TYPE, Problem
from resolver.registrar import Caller

ROOT = b"/v1/log/seal"
SEAL_EVERY_SECONDS = 5.0


class SealApi:
    """The endpoint; `directory` is that of the ledger, `clock` gives monotonic seconds."""

    def __init__(
        self, directory: Path, desk: OperatorDesk, clock: Callable[[], float] = monotonic
    ) -> None:
        self._directory = directory
        self._desk = desk
        self._clock = clock
        self._next_at = 0.0

    async def seal(self, request: Request) -> Response:
        """POST `/v1/log/seal`: 200 with the size of the published tree."""
        return await self._desk.serve(request, ROOT, self._seal)

    async def _seal(self, _asked: Asked, _caller: Caller) -> Response:
        now = self._clock()
        if now < self._next_at:
            return _too_soon(self._next_at - now)
        self._next_at = now + SEAL_EVERY_SECONDS
        try:
            told = await asyncio.to_thread(ask, self._directory)
        except (NotTaken, OSError) as error:
            raise Told(Problem(503, "unavailable", f"{error}")) from error
        return respond(200, {"size": told.size})


def sealing_section(api: SealApi) -> Section:
    """Return the rows of the table."""
    return Section((Row("POST", "/v1/log/seal", api.seal, SEAL_NOW),))


def _too_soon(seconds: float) -> Response:
    problem = Problem(429, "too_many_requests", f"Once in {SEAL_EVERY_SECONDS:.0f} s is enough")
    headers = {"Retry-After": str(int(seconds) + 1)}
    return Response(problem.encode(), 429, headers, media_type=PROBLEM_TYPE)
