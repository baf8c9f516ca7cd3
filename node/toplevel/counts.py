"""Counts: what the top-level node acknowledges of campaigns, keeps in files of its own, and tells whoever asks.

Beside the witness's `add-checkpoint`, and as little believing: a claim is proven from a tree that was cosigned here
(`node.ledger.acknowledging`).  Laws.  What was acknowledged is on the disk before it is answered.  A campaign of a log
is acknowledged once: the same claim again has the same answer, and another number is refused.  Whoever reads the log
can claim, and with an earlier block than the last; whose block is later is right about the totals, and is signed anew.
"""

from collections.abc import Callable
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from node.ledger.acknowledging import Acknowledged, Claim, ClaimError, confirm, judge
from node.ledger.checkpoint import Checkpoint
from node.ledger.durable import make_directory, read_if_there, write_durably
from node.ledger.note import Note, cosigned_at
from node.toplevel.claims import answer_claim, answer_signed
from node.toplevel.desk import answer_json, refuse
from node.toplevel.journal import Journal
from node.toplevel.watch import Watch

MAX_TOLD = 1_000  # acknowledgements that are listed, the newest of each log first
_SUFFIX = ".note"


class Counts:
    """The endpoints, and the directory of what was acknowledged; `clock` gives POSIX seconds."""

    def __init__(
        self, directory: Path, watch: Watch, journal: Journal, clock: Callable[[], float]
    ) -> None:
        self._directory = directory
        self._watch = watch
        self._journal = journal
        self._clock = clock

    async def add(self, request: Request) -> Response:
        """POST `/add-count`: 200 with the signed note; 409 with the size that a claim has to be of; 422."""
        try:
            return await answer_claim(request, self._watch, self._journal, self._answer)
        except OSError as error:
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "not_stored", str(error))

    async def list(self, _request: Request) -> Response:
        """GET `/counts`: what was acknowledged, by log and campaign."""
        paths = sorted(self._directory.glob(f"*{_SUFFIX}")) if self._directory.is_dir() else []
        return answer_json({"counts": [_told(path.read_bytes()) for path in paths[:MAX_TOLD]]})

    async def _answer(self, claim: Claim, newest: Checkpoint) -> Response:
        found = judge(claim, newest)
        note = self._kept(found)
        self._journal.note("count", f"{found.origin} {found.campaign}: {found.observed}")
        return answer_signed(note)

    def _kept(self, found: Acknowledged) -> Note:
        """Return the note of this campaign, from before or made now.  Raises ClaimError, NoteError, OSError."""
        path = self._directory / f"{_hash(found.origin)}-{found.campaign:05}{_SUFFIX}"
        there = read_if_there(path)
        if there is not None:
            before = Acknowledged.parse(Note.parse(there).text)
            if (before.leaf, before.protocols) != (found.leaf, found.protocols):
                raise ClaimError(
                    f"{before.observed} was acknowledged for this campaign, by leaf {before.leaf}"
                )
            if sum(found.totals) <= sum(before.totals):
                return Note.parse(there)
        note = confirm(found, self._watch.cosigner, int(self._clock()))
        make_directory(self._directory)
        write_durably(path, note.encode())
        return note


def _told(data: bytes) -> dict[str, object]:
    note = Note.parse(data)
    found = Acknowledged.parse(note.text)
    return {
        "origin": found.origin,
        "campaign": found.campaign,
        "leaf": found.leaf,
        "size": found.size,
        "observed": found.observed,
        "protocols": found.protocols,
        "at": cosigned_at(note.signatures[0].data),
        "note": data.decode(),
    }


def _hash(origin: str) -> str:
    return sha256(origin.encode()).hexdigest()[:16]
