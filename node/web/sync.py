"""`/v1/sync` on the admin listener: how this node stands with the top-level node, and what operators can ask of it."""

from datetime import UTC, datetime

from fastapi import Request
from fastapi.responses import Response

from node.store.database import Database
from node.store.resending import send_again
from node.store.standing import (
    KeptEvidence,
    RejectedRow,
    SyncStanding,
    TableStanding,
    list_rejections,
    newest_evidence,
    read_sync_standing,
)
from node.upstream.role import NotSending, Standing, SyncRole
from node.web.asked import Asked, Told, respond
from node.web.operators import OperatorDesk
from resolver.keys.seal import Seal
from resolver.problem import Problem
from resolver.registrar import Caller
from resolver.target import TargetError
from sync.change import MAX_KEY_BYTES
from sync.channels.tables import TABLES

ROOT = b"/v1/sync"
USUAL_LISTED, MAX_LISTED = 100, 1_000  # of one page
OFF = "IDNODE_SYNC_URL names no top-level node"

Json = dict[str, object]


class SyncApi:
    """The endpoints; each is handed a request and returns the response.  `role` is None without a top-level node."""

    def __init__(
        self, database: Database, seal: Seal, role: SyncRole | None, desk: OperatorDesk
    ) -> None:
        self._database = database
        self._seal = seal
        self._role = role
        self._desk = desk

    async def show(self, request: Request) -> Response:
        """GET `/v1/sync`: how it stands."""
        return await self._desk.serve(request, ROOT, self._show)

    async def rejected(self, request: Request) -> Response:
        """GET `/v1/sync/rejected`: what the top-level node did not take."""
        return await self._desk.serve(request, ROOT, self._rejected)

    async def retry(self, request: Request) -> Response:
        """POST `/v1/sync/retry`: send it once more."""
        return await self._desk.serve(request, ROOT, self._retry)

    async def verify(self, request: Request) -> Response:
        """POST `/v1/sync/verify`: compare all rows."""
        return await self._desk.serve(request, ROOT, self._verify)

    async def snapshot(self, request: Request) -> Response:
        """POST `/v1/sync/snapshot`: begin a new session."""
        return await self._desk.serve(request, ROOT, self._snapshot)

    async def _show(self, _asked: Asked, _caller: Caller) -> Response:
        stored = await read_sync_standing(self._database)
        evidence = await newest_evidence(self._database)
        live: Json = {"state": "off", "reason": OFF}
        if self._role is not None:
            live = _show_live(self._role.standing(), self._role)
        return respond(200, live | _show_stored(stored) | {"verified": _show_evidence(evidence)})

    async def _rejected(self, asked: Asked, _caller: Caller) -> Response:
        most = _limit(asked)
        found = await list_rejections(
            self._database, self._seal, table=_table(asked), after=_after(asked), limit=most
        )
        body: Json = {"rejected": [_show_rejected(each) for each in found]}
        if len(found) == most:
            body["after"] = "/".join(found[-1].rejection.place)
        return respond(200, body)

    async def _retry(self, asked: Asked, _caller: Caller) -> Response:
        role = self._must_be_on()
        count = await send_again(
            self._database, self._seal, table=_table(asked), key=_text(asked, b"key")
        )
        role.hint()
        return respond(200, {"sent": count})

    async def _verify(self, _asked: Asked, _caller: Caller) -> Response:
        role = self._must_be_on()
        try:
            role.verify()
        except NotSending as error:
            raise _not_sending(str(error)) from error
        return respond(202, {})

    async def _snapshot(self, _asked: Asked, _caller: Caller) -> Response:
        role = self._must_be_on()
        try:
            session = await role.begin_session()
        except NotSending as error:
            raise _not_sending(str(error)) from error
        return respond(202, {"session": session})

    def _must_be_on(self) -> SyncRole:
        if self._role is None:
            raise _not_sending(OFF)
        return self._role


def _show_live(standing: Standing, role: SyncRole) -> Json:
    clocks = standing.clocks
    return {
        "state": standing.state,
        "reason": standing.reason,
        "peer": role.url,
        "node_prefix": role.node_prefix,
        "failures": standing.failures,
        "answered_at": _time_of(standing.answered_at),
        "heartbeat_at": _time_of(standing.beat_at),
        "clock_skew_seconds": clocks.skew_seconds if clocks else None,
        "clock_uncertain_seconds": clocks.uncertain_seconds if clocks else None,
        "certificate_end": _time(standing.certificate_end),
        "signing_key": standing.signing_key,
    }


def _show_stored(standing: SyncStanding) -> Json:
    held = {each.table: each for each in standing.tables}
    now = datetime.now(UTC)
    return {
        "session": standing.session,
        "serial": standing.serial,
        "acknowledged": standing.acknowledged,
        "acknowledged_at": _time(standing.acknowledged_at),
        "complete": standing.is_complete,
        "tables": [_show_table(held.get(number, TableStanding(number)), now) for number in TABLES],
    }


def _show_table(table: TableStanding, now: datetime) -> Json:
    since = table.oldest_at
    return {
        "table": table.table,
        "name": TABLES[table.table].name,
        "pending": table.pending,
        "oldest_at": _time(since),
        "lag_seconds": round(max(0.0, (now - since).total_seconds()), 3) if since else 0.0,
        "rejected": table.rejected,
    }


def _show_evidence(kept: KeptEvidence | None) -> Json | None:
    if kept is None:
        return None
    found = kept.evidence
    return {
        "at": _time(kept.at),
        "session": found.session,
        "serial_from": found.serial_from,
        "serial_to": found.serial_to,
        "pages": found.pages,
        "repaired": found.repaired,
        "digests": [
            {"table": each.table, "rows": each.rows, "sha256": each.digest}
            for each in found.digests
        ],
    }


def _show_rejected(row: RejectedRow) -> Json:
    rejection = row.rejection
    return {
        "table": rejection.table,
        "key": rejection.key,
        "serial": rejection.serial,
        "code": rejection.code,
        "reason": rejection.reason,
        "at": _time(row.at),
    }


def _not_sending(detail: str) -> Told:
    return Told(Problem(409, "not_sending", detail))


def _text(asked: Asked, name: bytes) -> str:
    found = (asked.parameters.first(name) or b"").decode("utf-8", "replace")
    if "\0" in found or len(found.encode()) > MAX_KEY_BYTES:
        raise TargetError(f"{name.decode()} is none")
    return found


def _table(asked: Asked) -> str:
    table = _text(asked, b"table")
    if table and table not in TABLES:
        raise TargetError(f"there is no table {table!r}; there are {', '.join(TABLES)}")
    return table


def _after(asked: Asked) -> tuple[str, str]:
    table, _, key = (
        (asked.parameters.first(b"after") or b"").decode("utf-8", "replace").partition("/")
    )
    if "\0" in table + key:
        raise TargetError("after is none")
    return table, key


def _limit(asked: Asked) -> int:
    found = asked.parameters.indexes(b"limit")
    if found and not 1 <= found[0] <= MAX_LISTED:
        raise TargetError(f"limit must be from 1 to {MAX_LISTED}")
    return found[0] if found else USUAL_LISTED


def _time(at: datetime | None) -> str | None:
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time_of(seconds: float) -> str | None:
    return _time(datetime.fromtimestamp(seconds, UTC)) if seconds else None
