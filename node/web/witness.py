"""Witness: the HTTP of `idnode witness`: what logs submit, and what it has cosigned (C2SP tlog-witness).

Submissions are judged one after the other, each from the state that the one before left in durable storage.
It has an application of its own, which knows nothing of a node's: other people's logs ask it.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from node.ledger.memory import Memory
from node.ledger.submission import ADD_PATH, MAX_SUBMISSION_BYTES, origin_hash
from node.ledger.witnessing import TEXT_TYPE, Cosigned, Evidence, Refusal
from resolver.target import BodyTooLarge, read_body

BODY_SECONDS = 10.0  # for a submission to arrive
MAX_AT_ONCE = 64  # submissions that arrive or wait
NO_STORE = {"Cache-Control": "no-store"}

log = logging.getLogger(__name__)


class WitnessApi:
    """Answers logs and auditors; `clock` gives POSIX seconds."""

    def __init__(self, memory: Memory, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._clock = clock
        self._turns = ThreadPoolExecutor(1)  # judged and kept without another in between
        self._arrived = 0

    async def add_checkpoint(self, request: Request) -> Response:
        """POST `/add-checkpoint`."""
        if self._arrived >= MAX_AT_ONCE:
            return _text(503, "too many submissions at once\n", {"Retry-After": "1"})
        self._arrived += 1
        try:
            body = await _body_of(request)
            if isinstance(body, Response):
                return body
            return await asyncio.get_running_loop().run_in_executor(self._turns, self._decide, body)
        finally:
            self._arrived -= 1

    async def checkpoint(self, request: Request) -> Response:
        """GET `/{origin_hash}/checkpoint`."""
        wanted = request.path_params["origin_hash"]
        seen = self._memory.seen
        for origin in self._memory.rules.logs:
            if origin_hash(origin) == wanted and origin in seen:
                return Response(seen[origin].note.encode(), 200, NO_STORE, media_type=TEXT_TYPE)
        return _text(404, "nothing of such a log was cosigned here\n")

    async def about(self, _request: Request) -> Response:
        """GET `/`: the verifier key of this witness."""
        return _text(200, f"{self._memory.rules.cosigner.key}\n")

    async def alive(self, _request: Request) -> Response:
        """GET `/healthz`."""
        return _text(200, "ok\n")

    def _decide(self, body: bytes) -> Response:
        """Judge, keep, answer: in the one thread that does so, since keeping waits for the disk."""
        memory, now = self._memory, int(self._clock())
        decided = memory.rules.judge(body, memory.seen, now)
        if isinstance(decided, Refusal):
            return self._refuse(body, decided, now)
        try:
            memory.keep(decided.seen)
        except OSError as error:
            log.error("nothing can be kept", extra={"reason": str(error)})
            return _text(503, "this witness cannot write at the moment\n", {"Retry-After": "60"})
        return _cosigned(decided)

    def _refuse(self, body: bytes, refusal: Refusal, now: int) -> Response:
        told = {"origin": refusal.origin, "size": refusal.size, "reason": refusal.text.strip()}
        if refusal.evidence is not None:
            event = "a log has forked" if refusal.evidence is Evidence.FORK else "a proof fails"
            log.error(event, extra={**told, "kept": self._keep_evidence(body, refusal, now)})
        elif refusal.status == 503:
            log.warning("not cosigned", extra=told)
        headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else {}
        return _text(refusal.status, refusal.text, headers, refusal.content_type)

    def _keep_evidence(self, body: bytes, refusal: Refusal, now: int) -> str:
        try:
            return str(self._memory.keep_evidence(body, refusal, now) or "before")
        except OSError as error:
            return f"not: {error}"


def build_witness_app(witness: WitnessApi) -> Starlette:
    """Return the application."""
    routes = (
        Route(ADD_PATH, witness.add_checkpoint, methods=["POST"]),
        Route("/{origin_hash}/checkpoint", witness.checkpoint),
        Route("/", witness.about),
        Route("/healthz", witness.alive),
    )
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return app


async def _body_of(request: Request) -> bytes | Response:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await read_body(request.stream(), MAX_SUBMISSION_BYTES)
    except BodyTooLarge as error:
        return _text(413, f"{error}\n", {"Connection": "close"})
    except TimeoutError:
        return _text(408, "the submission did not arrive in time\n", {"Connection": "close"})
    except ClientDisconnect:
        return _text(400, "the submission was cut off\n")


def _cosigned(decided: Cosigned) -> Response:
    checkpoint = decided.seen.checkpoint
    log.info("cosigned", extra={"origin": checkpoint.origin, "size": checkpoint.size})
    return _text(200, decided.line)


def _text(
    status: int, text: str, headers: dict[str, str] | None = None, content_type: str = TEXT_TYPE
) -> Response:
    return Response(
        text.encode(), status, {**NO_STORE, **(headers or {}), "Content-Type": content_type}
    )
