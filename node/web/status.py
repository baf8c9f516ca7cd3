"""`/v1/status` on the public listener: how this node is, for the top-level node, which asks when it wants to know.

Question and answer are signed (`sync.signature`): nobody but who holds one of the peer's keys is told anything, or
costs more than the check of a signature.  That there is such a question is public (access agreement), its form our
proposal.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from time import time
from typing import NamedTuple

import orjson
from fastapi import Request
from fastapi.responses import Response

from node.counters import Counters
from node.store.database import Database, StoreError, StoreUnavailable
from node.store.standing import SyncStanding, read_sync_standing
from node.upstream.credentials import CredentialFiles, Credentials, CredentialsError, Mark
from node.web.operations import Operation, in_header
from node.web.row import Row, Section
from resolver.observe import PROTOCOLS, RESOLUTIONS, Gauge, gauge_cell, latency_row
from resolver.problem import PROBLEM_TYPE, Problem
from sync.channels.tables import TABLES
from sync.signature import DIGEST, INPUT, SIGNATURE, Answer, Nonces, SignatureFailed, sign, verify
from sync.signature import Request as Asked
from sync.transport import JSON_TYPE, TIME_HEADER

PATH = "/v1/status"
SAMPLE_SECONDS = 1.0  # over which resolutions are counted
NOT_OFFERED = "This node names no keys of a top-level node (IDNODE_SYNC_PEER_KEYS)"
AWAY = "The database cannot be reached at the moment"

Json = dict[str, object]

_ASK = Operation(
    "How this node is: for the top-level node, in a question that it signs",
    tuple(in_header(name, "RFC 9421 and RFC 9530.") for name in (DIGEST, INPUT, SIGNATURE)),
    {
        200: "Version, uptime, serials, what waits of each table, resolutions a second; signed",
        401: "The question is not rightly signed; the detail says why",
        404: "This node has no top-level node, or none whose keys it knows",
        503: "The database cannot be reached at the moment",
    },
    tag="Sync with the top-level node",
)


class Sample(NamedTuple):
    """What has been counted so far: resolutions, how many of them were timed, and their times in all."""

    resolutions: int
    timed: int
    nanoseconds: int

    @classmethod
    def of(cls, slots: Sequence[Counters]) -> "Sample":
        """Return the sums over all workers."""
        rows = [latency_row(protocol) for protocol in PROTOCOLS]
        timed = list(chain.from_iterable(buckets for buckets, _ in rows))
        return cls(
            sum(sum(each.cells[: len(RESOLUTIONS)]) for each in slots),
            sum(each.cells[cell] for each in slots for cell in timed),
            sum(each.cells[total] for each in slots for _, total in rows),
        )


class StatusApi:
    """The endpoint.  Without `files` there is no top-level node; `slots` gives the counters of all workers."""

    def __init__(
        self,
        node_prefix: str,
        files: CredentialFiles | None,
        database: Database,
        slots: Callable[[], Sequence[Counters]],
        *,
        sample_seconds: float = SAMPLE_SECONDS,
    ) -> None:
        self._node_prefix = node_prefix
        self._files = files
        self._database = database
        self._slots = slots
        self._sample_seconds = sample_seconds
        self._nonces = Nonces()
        self._known: tuple[Mark, Credentials] | None = None

    async def show(self, request: Request) -> Response:
        """GET `/v1/status`."""
        if self._files is None or self._files.peer_keys is None:
            return _problem(404, "not_offered", NOT_OFFERED)
        asked = Asked(request.method, request.scope["path"], b"")
        try:
            credentials = await asyncio.to_thread(self._credentials, self._files)
            keys = credentials.peer_keys or {}
            asker = verify(asked, request.headers, keys, now=time(), seen=self._nonces)
            body = await self._describe(credentials)
        except SignatureFailed as error:
            return _problem(401, "not_signed", str(error))
        except CredentialsError:  # its words are for the operator, who finds them in `idnode check`
            return _problem(404, "not_offered", NOT_OFFERED)
        except (StoreUnavailable, StoreError):
            return _problem(503, "unavailable", AWAY)
        now = time()
        signed = sign(Answer(200, body), credentials.signer, created=int(now), nonce=asker.nonce)
        headers = {TIME_HEADER: f"{now:.3f}", "Cache-Control": "no-store", **signed}
        return Response(body, 200, headers, JSON_TYPE)

    def _credentials(self, files: CredentialFiles) -> Credentials:
        mark = files.mark()
        if self._known is None or self._known[0] != mark:
            self._known = files.mark(), files.load()
        return self._known[1]

    async def _describe(self, credentials: Credentials) -> bytes:
        slots = self._slots()
        before = Sample.of(slots)
        standing = await read_sync_standing(self._database)
        await asyncio.sleep(self._sample_seconds)
        traffic = _traffic(before, Sample.of(slots), self._sample_seconds)
        started = min(
            each.cells[gauge_cell(Gauge.STARTED_AT)] for each in slots if not each.is_vacant
        )
        end = credentials.certificate_end
        about: Json = {
            "node_prefix": self._node_prefix,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "version": version("idnode"),
            "uptime_seconds": max(0, int(time()) - started),
            "certificate_end": end.isoformat(timespec="seconds") if end else "",
            "signing_key": credentials.signer.key_id,
        }
        return orjson.dumps(about | traffic | _stored(standing))


def status_section(api: StatusApi) -> Section:
    """Return the row."""
    return Section((Row("GET", PATH, api.show, _ASK),))


def _traffic(before: Sample, after: Sample, seconds: float) -> Json:
    timed = after.timed - before.timed
    nanoseconds = after.nanoseconds - before.nanoseconds
    return {
        "resolutions_per_second": round((after.resolutions - before.resolutions) / seconds, 1),
        "resolution_milliseconds": round(nanoseconds / timed / 1e6, 3) if timed else None,
    }


def _stored(standing: SyncStanding) -> Json:
    held = {each.table: each.pending for each in standing.tables}
    return {
        "session": standing.session,
        "serial": standing.serial,
        "acknowledged": standing.acknowledged,
        "complete": standing.is_complete,
        "pending": {table: held.get(table, 0) for table in TABLES},
    }


def _problem(status: int, kind: str, detail: str) -> Response:
    body = Problem(status, kind, detail).encode()
    return Response(body, status, {"Cache-Control": "no-store"}, PROBLEM_TYPE)
