"""The native Handle protocol over HTTP POST: body and answer are one whole message, envelope included.

Any path takes it; the content type alone says so, since some clients post to `/` and some to `/` + handle.
"""

from collections.abc import AsyncIterator
from time import perf_counter_ns

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from resolver.observe import Protocol
from resolver.recorder import HttpCount
from resolver.responder import Origin, Reply, Responder
from resolver.target import read_body
from resolver.wire import ENVELOPE_BYTES, MAX_MESSAGE_BYTES

MESSAGE_TYPE = "application/x-hdl-message"


class Tunnel:
    """Answers native messages that come by HTTP."""

    def __init__(self, responder: Responder, count: HttpCount) -> None:
        self._responder = responder
        self._count = count

    @staticmethod
    def takes(request: Request) -> bool:
        """True when the body of this POST is a native message."""
        content_type = request.headers.get("content-type", "")
        return content_type.partition(";")[0].strip().lower() == MESSAGE_TYPE

    async def answer(self, request: Request) -> Response:
        """Return the native answer, 200 whatever code it carries; 400 without a body for what is no message."""
        started = perf_counter_ns()
        message = await read_body(request.stream(), ENVELOPE_BYTES + MAX_MESSAGE_BYTES)
        address = request.client.host if request.client else ""
        reply = await self._responder.respond(message, Origin(Protocol.NATIVE_HTTP, address))
        if reply.cell is not None:
            party = self._count.party(request.scope)
            if not await self._count.answered(party, reply.key, reply.cell, started):
                reply = Reply(self._responder.refuse_as_busy(message))
        if reply.more is not None:
            return StreamingResponse(_messages(reply), media_type=MESSAGE_TYPE)
        status = 200 if reply.message else 400
        return Response(reply.message, status, media_type=MESSAGE_TYPE)


async def _messages(reply: Reply) -> AsyncIterator[bytes]:
    """Give all messages of an answer that has several, one behind the other."""
    yield reply.message
    if reply.more is not None:
        async for message in reply.more:
            yield message
