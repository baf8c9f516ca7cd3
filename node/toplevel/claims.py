"""Claims: what the top-level node asks of each claim before it acknowledges anything, and how it refuses one.

The same for a campaign (`node.toplevel.counts`) and for a closed day (`node.toplevel.daycounts`): a claim is of the
newest tree that was cosigned here, or is answered with the size that it has to be of.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from node.ledger.acknowledging import MAX_CLAIM_BYTES, Claim, ClaimError
from node.ledger.checkpoint import Checkpoint
from node.ledger.keys import NoteError
from node.ledger.note import Note
from node.ledger.submission import SIZE_TYPE
from node.ledger.witnessing import TEXT_TYPE
from node.toplevel.desk import NO_STORE, refuse
from node.toplevel.journal import Journal
from node.toplevel.watch import Watch
from resolver.target import BodyTooLarge, read_body

Acknowledge = Callable[[Claim, Checkpoint], Awaitable[Response]]
"""acknowledge(claim, newest): the answer to a claim of the newest tree; raises ClaimError, NoteError."""


async def answer_claim(
    request: Request, watch: Watch, journal: Journal, acknowledge: Acknowledge
) -> Response:
    """Return what `acknowledge` says; 404 for an unknown log, 409 with a size, 413, 422, or 400 when it was cut off."""
    try:
        claim = Claim.parse(await read_body(request.stream(), MAX_CLAIM_BYTES))
        newest = watch.newest(claim.origin)
        if newest is None:
            return refuse(HTTPStatus.NOT_FOUND, "not_found", "nothing of this log was cosigned")
        if newest.size != claim.size:
            return Response(f"{newest.size}\n", 409, NO_STORE, media_type=SIZE_TYPE)
        return await acknowledge(claim, newest)
    except (ClaimError, NoteError) as error:
        journal.note("count", str(error), is_fault=True)
        return refuse(HTTPStatus.UNPROCESSABLE_ENTITY, "wrong", str(error))
    except BodyTooLarge as error:
        return refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", str(error))
    except ClientDisconnect:
        return refuse(HTTPStatus.BAD_REQUEST, "cut_off", "the request was cut off")


def answer_signed(note: Note) -> Response:
    """Return an acknowledgement as it was signed."""
    return Response(note.encode(), 200, NO_STORE, media_type=TEXT_TYPE)
