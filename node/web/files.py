"""`/v1/files` on the admin listener: photos of papers, named by the id that an upload returns.

A photo is personal data: it is sealed as it is stored, and who reads one stands in the log of the node.
"""

import logging
import re
from collections.abc import Callable

from fastapi import Request
from fastapi.responses import Response

from node.store.files import File, Files
from node.web.asked import Asked, Told, respond
from node.web.operators import OperatorDesk
from resolver.problem import Problem
from resolver.registrar import Caller
from resolver.target import read_body

ROOT = b"/v1/files"
MAX_FILE_BYTES = 360_000  # so that two of them fit into a message of the registration channel

ID = re.compile(r"[0-9A-Za-z_-]{1,64}")  # as the model's forms take it

_BEGINNINGS = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"BM": "image/bmp",
}

log = logging.getLogger(__name__)


class FilesApi:
    """The endpoints; each is handed a request and returns the response."""

    def __init__(self, files: Files, desk: OperatorDesk, unique: Callable[[], str]) -> None:
        """`unique` makes names that nobody can guess."""
        self._files = files
        self._desk = desk
        self._unique = unique

    async def upload(self, request: Request) -> Response:
        """POST `/v1/files?id=`: the bytes of a photo; the answer says the id by which forms name it."""
        return await self._desk.serve(request, ROOT, self._upload)

    async def show(self, request: Request) -> Response:
        """GET `/v1/files/{file}`: the bytes again."""
        return await self._desk.serve(request, ROOT, self._show)

    async def _upload(self, asked: Asked, _caller: Caller) -> Response:
        content = await read_body(asked.request.stream(), MAX_FILE_BYTES)
        media_type = media_type_of(content)
        if not media_type:
            raise Told(Problem(415, "unsupported_media_type", "Send a photo: JPEG, PNG or BMP"))
        id_ = (asked.parameters.first(b"id") or b"").decode("utf-8", "replace") or self._unique()
        if not ID.fullmatch(id_):
            raise Told(Problem(400, "bad_request", "An id has 1 to 64 letters, digits, _ and -"))
        if not await self._files.put(id_, File(media_type, content)):
            raise Told(Problem(409, "file_exists", "Another file has this id; leave it out"))
        told = {"id": id_, "media_type": media_type, "size": len(content)}
        return respond(201, told)

    async def _show(self, asked: Asked, caller: Caller) -> Response:
        found = (await self._files.read(asked.name)).get(asked.name)
        if found is None:
            raise Told(Problem(404, "no_such_file", "There is no such file"))
        log.warning("a photo is read", extra={"caller": caller.name, "file": asked.name})
        return Response(
            found.content,
            media_type=found.media_type,
            headers={"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"},
        )


def media_type_of(content: bytes) -> str:
    """Return what a file is by its first bytes; empty for what is no photo."""
    return next((kind for start, kind in _BEGINNINGS.items() if content.startswith(start)), "")
