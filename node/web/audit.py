"""`/v1/log/…` on both listeners: the log as static files (C2SP tlog-tiles), and proofs made from them.

Tiles and entries never change once they are under a published checkpoint, and only then are they served.  The
bodies of blocks are for accredited auditors and are never served.  A receipt shows one record, which has only keyed
tags, to who knows its nonce; the admin listener does without.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from fastapi import Request
from fastapi.responses import Response

from node.ledger.checkpoint import Checkpoint
from node.ledger.heads import HeadFiles
from node.ledger.index import served
from node.ledger.keys import NoteError
from node.ledger.leaf import Block, parse
from node.ledger.logfiles import LogDamaged, LogFiles, end_of
from node.ledger.note import Note
from node.ledger.receipt import Name, Receipt, ReceiptError, make_receipt
from node.ledger.record import RECORD_BYTES, decode
from node.ledger.tiles import parse_tile_path
from node.store.database import Database, StoreError, StoreUnavailable
from node.store.ledger import Found, block_holding
from resolver.problem import PROBLEM_TYPE, Problem

TEXT_TYPE, TILE_TYPE = "text/plain; charset=utf-8", "application/octet-stream"
NEVER_CHANGES = {"Cache-Control": "public, max-age=31536000, immutable"}
CHANGES = {"Cache-Control": "no-cache"}
SEALED_SECONDS = 45  # from an answer to its record under a checkpoint, at most
MAX_DIGITS = 19
NEWEST_HEAD = "newest.note"
_HEAD_SUFFIX = ".note"

log = logging.getLogger(__name__)


class _Head(NamedTuple):
    """A signed checkpoint and its size."""

    note: Note
    size: int


class _Refused(Exception):
    """A request that is answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class AuditApi:
    """The endpoints; each is handed a request and returns the response."""

    def __init__(
        self, files: LogFiles, origin: str, database: Database, *, needs_nonce: bool
    ) -> None:
        """`needs_nonce`: a receipt is only for who knows the nonce of its record (the public listener)."""
        self._files = files
        self._heads = HeadFiles(files.directory)
        self._origin = origin
        self._database = database
        self._needs_nonce = needs_nonce

    async def checkpoint(self, _request: Request) -> Response:
        """GET `/v1/log/checkpoint`: the newest, with the log's own lines."""
        return await _answer(self._checkpoint)

    async def tile(self, request: Request) -> Response:
        """GET `/v1/log/tile/{path}`: hashes or entries."""
        path = f"tile/{request.path_params['path']}"
        return await _answer(lambda: self._tile(path))

    async def head(self, request: Request) -> Response:
        """GET `/v1/log/heads/{name}`: a cosigned checkpoint, `<size>.note` or `newest.note`; witnesses may be added."""
        name = str(request.path_params["name"])
        return await _answer(lambda: self._head(name))

    async def leaf(self, request: Request) -> Response:
        """GET `/v1/log/leaf/{index}`: the proof that this leaf is in the log, with the leaf."""
        text = str(request.path_params["index"])
        return await _answer(lambda: self._leaf(text))

    async def index(self, request: Request) -> Response:
        """GET `/v1/log/index/{path}`: the evidence index, as Go's checksum database and its modules."""
        path = str(request.path_params["path"])
        return await _answer(lambda: self._index(path))

    async def receipt(self, request: Request) -> Response:
        """GET `/v1/log/receipt/{name}`: the proof that this record is in the log, with the record."""
        try:
            name = Name.parse(str(request.path_params["name"]))
            if name.nonce is None and self._needs_nonce:
                raise ReceiptError("a receipt is called <lane>.<epoch>.<seq>.<nonce> here")
            found = await block_holding(self._database, self._origin, *name[:3])
        except ReceiptError as error:
            return _problem(Problem(400, "bad_request", f"{error}"))
        except (StoreError, StoreUnavailable, OverflowError):
            return _problem(Problem(503, "unavailable", "The database is away; try again later"))
        return await _answer(lambda: self._receipt(name, found))

    def _checkpoint(self) -> Response:
        return Response(self._published().note.encode(), 200, CHANGES, media_type=TEXT_TYPE)

    def _tile(self, path: str) -> Response:
        tile = parse_tile_path(path)
        size = self._published().size
        if tile is None or end_of(tile) > size:
            raise _Refused(Problem(404, "not_found", "The published log has no such tile"))
        data = self._files.read_part(tile, size)
        return Response(data, 200, NEVER_CHANGES, media_type=TILE_TYPE)

    def _head(self, name: str) -> Response:
        note: Note | None = None
        if name == NEWEST_HEAD:
            beacon = self._heads.beacon()
            note = beacon.note if beacon else None
        elif name.endswith(_HEAD_SUFFIX):
            size = _number(name.removesuffix(_HEAD_SUFFIX))
            note = None if size is None else self._files.head(size)
        if note is None:
            raise _Refused(Problem(404, "not_found", "No head of this size was cosigned"))
        return Response(note.encode(), 200, CHANGES, media_type=TEXT_TYPE)

    def _leaf(self, text: str) -> Response:
        index = _number(text)
        if index is None:
            raise _Refused(Problem(400, "bad_request", "A leaf is called by its index, from 0"))
        head = self._covering(index)
        if head is None:
            raise _Refused(Problem(404, "not_found", "The published log has no such leaf"))
        line = self._files.line(index, head.size)
        return self._proof(index, line, head, None, 0)

    def _index(self, path: str) -> Response:
        found = served(self._files.directory, path)
        if found is None:
            raise _Refused(Problem(404, "not_found", "The evidence index has no such file"))
        return Response(
            found.data, 200, NEVER_CHANGES if found.is_final else CHANGES, media_type=TILE_TYPE
        )

    def _receipt(self, name: Name, found: Found | None) -> Response:
        leaf = parse(found.line) if found else None
        head = self._covering(found.idx) if found else None
        is_in = isinstance(leaf, Block) and leaf.sequence[0] <= name.seq <= leaf.sequence[1]
        if found is None or head is None or not isinstance(leaf, Block) or not is_in:
            raise _Refused(_NO_SUCH_RECORD)
        body = self._files.read_body(leaf)
        if body is None:
            detail = (
                "The record was deleted after its time; that it was counted can still be verified"
            )
            raise _Refused(Problem(410, "gone", detail))
        at = (name.seq - leaf.sequence[0]) * RECORD_BYTES
        nonce = decode(body[at : at + RECORD_BYTES]).nonce
        if name.nonce not in (None, nonce):
            raise _Refused(_NO_SUCH_RECORD)
        return self._proof(found.idx, found.line, head, body, name.seq)

    def _proof(
        self, index: int, line: bytes, head: _Head, body: bytes | None, seq: int
    ) -> Response:
        read = self._files.hashes(head.size)
        made: Receipt = make_receipt(index, line, head.note, head.size, read, body, seq)
        return Response(made.encode(), 200, CHANGES, media_type=TEXT_TYPE)

    def _published(self) -> _Head:
        note = self._files.published()
        if note is None:
            raise _Refused(Problem(404, "not_found", "This log has published nothing yet"))
        return _Head(note, Checkpoint.parse(note.text).size)

    def _covering(self, index: int) -> _Head | None:
        """The newest cosigned head that has this leaf, else the newest checkpoint, if it has it."""
        beacon = self._heads.beacon()
        if beacon is not None and beacon.size > index:
            return _Head(beacon.note, beacon.size)
        published = self._published()
        return published if published.size > index else None


_NO_SUCH_RECORD = Problem(
    404,
    "no_such_record",
    f"The published log has no such record; a new one is in it after {SEALED_SECONDS} s at most",
)


async def _answer(make: Callable[[], Response]) -> Response:
    """Answer from files, which block; what is wrong with them is told as that."""
    try:
        return await asyncio.to_thread(make)
    except _Refused as refused:
        return _problem(refused.problem)
    except (LogDamaged, NoteError, OSError):
        log.exception("the log cannot be read")
        return _problem(Problem(503, "unavailable", "The log cannot be read; its operator is told"))


def _problem(problem: Problem) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(problem.encode(), problem.status, headers, media_type=PROBLEM_TYPE)


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS
    return int(text) if is_number and str(int(text)) == text else None
