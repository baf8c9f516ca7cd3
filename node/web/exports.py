"""`/v1/export` on the admin listener: records as a load file, streamed from one snapshot.

The digest of a stream is known at its end, so the manifest is fetched afterwards: the header `Link` of the export says
where.  It is kept in memory, for the last exports of this keeper.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from secrets import token_hex

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from node.registry.exports import Exporter, Wanted
from node.registry.loadfile import LoadFormat
from node.registry.manifests import SUFFIX, Manifest
from node.store.database import StoreError
from node.store.exports import snapshot
from node.web.asked import Asked, Told
from node.web.operators import OperatorDesk
from resolver.identifier import PREFIX_HANDLE, Identifier
from resolver.problem import Problem
from resolver.registrar import Caller, Scope
from resolver.source import SourceUnavailable
from resolver.target import TargetError

ROOT, MANIFESTS = b"/v1/export", b"/v1/export/manifests"
MAX_EXPORTS = 2  # at once: each holds a snapshot, which keeps Postgres from tidying up
EXPORT_SECONDS = 3_600.0
KEPT_MANIFESTS = 100

_EXPORTS = frozenset({Scope.READ, Scope.LIST})
_TYPES = {LoadFormat.NDJSON: "application/x-ndjson", LoadFormat.CSV: "text/csv; charset=utf-8"}

Identify = Callable[[bytes], Identifier]


class ExportApi:
    """The endpoints; each is handed a request and returns the response."""

    def __init__(
        self, dsn: str, desk: OperatorDesk, identify: Identify, *, case_sensitive: bool
    ) -> None:
        self._dsn = dsn
        self._desk = desk
        self._identify = identify
        self._case_sensitive = case_sensitive
        self._running = 0
        self._manifests: OrderedDict[str, Manifest] = OrderedDict()

    async def export(self, request: Request) -> Response:
        """GET: all records, or those of a prefix."""
        return await self._desk.serve(request, ROOT, self._export, _EXPORTS)

    async def manifest(self, request: Request) -> Response:
        """GET `/v1/export/manifests/{export}`: the digest of an export that came to its end."""
        return await self._desk.serve(request, MANIFESTS, self._manifest)

    async def _export(self, asked: Asked, _caller: Caller) -> Response:
        wanted = self._wanted(asked)
        if self._running >= MAX_EXPORTS:
            raise Told(
                Problem(503, "unavailable", "Too many exports are under way; try again later")
            )
        async with AsyncExitStack() as stack:
            self._running += 1
            stack.callback(self._end)
            try:
                state = await stack.enter_async_context(snapshot(self._dsn))
            except StoreError as error:
                raise SourceUnavailable(str(error)) from error
            exporter = Exporter(state, wanted)
            number, name = token_hex(8), f"export-{state.position.serial}.{wanted.format}"
            headers = {
                "Content-Disposition": f'attachment; filename="{name}"',
                "Link": f'</v1/export/manifests/{number}>; rel="describedby"',
            }
            blocks = self._blocks(exporter, number, name)
            kept = stack.pop_all()
        return _Export(blocks, kept, headers=headers, media_type=_TYPES[wanted.format])

    async def _blocks(self, exporter: Exporter, number: str, name: str) -> AsyncIterator[bytes]:
        async for block in exporter.blocks():
            yield block
        self._manifests[number] = exporter.manifest(name, int(time.time()))
        while len(self._manifests) > KEPT_MANIFESTS:
            self._manifests.popitem(last=False)

    async def _manifest(self, asked: Asked, _caller: Caller) -> Response:
        found = self._manifests.get(asked.name)
        if found is None:
            detail = "No export of this name has come to its end lately; export again"
            raise Told(Problem(404, "no_such_export", detail))
        headers = {"Content-Disposition": f'attachment; filename="{found.name}{SUFFIX}"'}
        return Response(found.encode(), 200, headers, media_type="text/plain; charset=utf-8")

    def _wanted(self, asked: Asked) -> Wanted:
        parameters = asked.parameters
        form = (parameters.first(b"format") or b"ndjson").decode("utf-8", "replace").lower()
        if form not in list(LoadFormat):
            raise TargetError(f"format can be {', '.join(LoadFormat)}")
        prefix = parameters.first(b"prefix")
        return Wanted(
            prefix=self._prefix(prefix) if prefix else None,
            format=LoadFormat(form),
            public_only=parameters.flag(b"public_only"),
            case_sensitive=self._case_sensitive,
        )

    def _prefix(self, name: bytes) -> bytes:
        given = name if name.upper().startswith(PREFIX_HANDLE) else PREFIX_HANDLE + name
        return self._identify(given).prefixes[0]

    def _end(self) -> None:
        self._running -= 1


class _Export(StreamingResponse):
    """A stream that lets go of its snapshot however it ends, and ends after EXPORT_SECONDS."""

    def __init__(
        self,
        blocks: AsyncIterator[bytes],
        kept: AsyncExitStack,
        *,
        headers: dict[str, str],
        media_type: str,
    ) -> None:
        super().__init__(blocks, headers=headers, media_type=media_type)
        self._kept = kept

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Send it."""
        async with self._kept, asyncio.timeout(EXPORT_SECONDS):
            await super().__call__(scope, receive, send)
