"""Health: `/healthz` says that the process answers, `/readyz` whether it should be sent work, and why not.

`/readyz` is 503 while any check fails; each check has a sentence that an operator can act on.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import orjson
from fastapi import Request
from fastapi.responses import Response

JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold for the node to do its work; `reason` says how it stands."""

    name: str
    ok: bool
    reason: str


class Health:
    """The two probes; they touch no store, so that a slow one cannot make them slow."""

    def __init__(self, readiness: Callable[[], list[Check]]) -> None:
        self._readiness = readiness

    async def alive(self, _request: Request) -> Response:
        """GET `/healthz`."""
        return _json(200, {"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """GET `/readyz`."""
        checks = self._readiness()
        ready = all(check.ok for check in checks)
        body = {"ready": ready, "checks": [asdict(check) for check in checks]}
        return _json(200 if ready else 503, body)


def _json(status: int, body: object) -> Response:
    return Response(orjson.dumps(body), status, {"Cache-Control": "no-store"}, media_type=JSON_TYPE)
