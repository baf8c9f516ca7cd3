"""Views: what the page listener tells: how everything stands, rows, digests, routes, the bootstrap file.

Rows are masked; nothing here changes anything.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from node.toplevel.bootstrap import bootstrap
from node.toplevel.channel import Channel
from node.toplevel.database import Database, DatabaseFailed
from node.toplevel.desk import Office, answer_json, refuse
from node.toplevel.faults import Clock
from node.toplevel.labels import labels_of
from node.toplevel.native import Answers
from node.toplevel.probing import Prober
from node.toplevel.resolution import Routes
from node.toplevel.shown import (
    MAX_ROWS,
    Counts,
    Digests,
    Standing,
    known_numbers,
    read_counts,
    read_digests,
    read_newest,
    read_page,
    read_rejections,
)
from sync.change import END
from sync.channels.tables import TABLES

SHOWN_REJECTIONS = 50
QUIET_SECONDS = 2.0  # without a change before digests are computed for the page
LONGEST_SECONDS = 60.0  # after which they are computed all the same
MAX_ARRIVAL = 2**62


class Views:
    """The endpoints that tell something."""

    def __init__(
        self,
        office: Office,
        database: Database,
        channel: Channel,
        prober: Prober,
        answers: Answers,
        *,
        routes: Callable[[], Routes],
        clock: Clock,
        about: dict[str, str],
    ) -> None:
        self._office = office
        self._database = database
        self._channel = channel
        self._prober = prober
        self._answers = answers
        self._routes = routes
        self._clock = clock
        self._about = about
        self._digests: Digests | None = None
        self._digested_at = 0.0

    async def state(self, _request: Request) -> Response:
        """GET `/state`: how everything stands, for the page."""
        try:
            standing = await read_counts(self._database)
            rejections = await read_rejections(self._database, SHOWN_REJECTIONS)
            epp = await self._epp()
        except DatabaseFailed as error:
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "not_read", str(error))
        said: dict[str, object] = {
            **self._about,
            "now": self._clock(),
            "inbox": _inbox(standing),
            "tables": [self._table(standing, number) for number in known_numbers(standing)],
            "rates": self._office.journal.rates(),
            "rejections": [asdict(each) for each in rejections],
            "epp": epp,
            "events": [each._asdict() for each in self._office.journal.newest()],
        }
        return answer_json(said | self._surroundings())

    async def table(self, request: Request) -> Response:
        """GET `/tables/{number}`: rows by key (`after=`), or the newest (`newest=`, after this arrival)."""
        number = request.path_params["number"]
        query = request.query_params
        limit = _number(query.get("limit", "20"), MAX_ROWS)
        newest = _number(query.get("newest", "0"), MAX_ARRIVAL)
        if limit is None or newest is None:
            return refuse(HTTPStatus.BAD_REQUEST, "wrong", f"limit is 1 to {MAX_ROWS}")
        try:
            if "after" in query:
                rows = await read_page(self._database, number, query["after"], limit)
            else:
                rows = await read_newest(self._database, number, newest, limit)
        except DatabaseFailed as error:
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "not_read", str(error))
        told = [row._asdict() for row in rows]
        return answer_json({"table": number, "labels": labels_of(number), "rows": told})

    async def digests(self, _request: Request) -> Response:
        """GET `/digests`: each table's, computed now from the bodies."""
        try:
            found = await self._compute()
        except DatabaseFailed as error:
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "not_read", str(error))
        return answer_json(
            {
                "session": found.inbox.session,
                "serial": found.inbox.serial,
                "complete": found.inbox.position == END,
                "tables": {
                    each.table: {"rows": each.rows, "digest": each.digest} for each in found.tables
                },
            }
        )

    async def faults(self, _request: Request) -> Response:
        """GET `/faults`: those of the moment."""
        return answer_json(self._office.mischief.faults.plain())

    async def epp(self, _request: Request) -> Response:
        """GET `/epp`: enterprises, applications, and how many messages wait."""
        return answer_json(await self._epp())

    async def keys(self, _request: Request) -> Response:
        """GET `/keys`: the ids of the node's keys, and our public key."""
        papers = self._office.papers
        public = papers.signer.public.pem.decode()
        return answer_json({"keys": sorted(papers.keys), "toplevel": public})

    async def snapshots(self, _request: Request) -> Response:
        """GET `/snapshots`: the copies, the newest first."""
        return answer_json({"snapshots": self._office.copies.names()})

    async def bootstrap(self, _request: Request) -> Response:
        """GET `/bootstrap.json`."""
        return answer_json(bootstrap(self._routes(), self._clock()))

    async def resolve(self, request: Request) -> Response:
        """GET `/resolve/{identifier}`: the route that a resolver is referred to."""
        route = self._routes().find(request.path_params["identifier"])
        if route is None:
            return refuse(HTTPStatus.NOT_FOUND, "not_found", "no route leads there")
        return answer_json({"referral": route.plain()})

    async def alive(self, _request: Request) -> Response:
        """GET `/healthz`."""
        return answer_json({"status": "ok"})

    async def keep_digests(self, interval_seconds: float = 1.0) -> None:
        """Compute digests for the page whenever nothing comes for a while."""
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                standing = await read_counts(self._database)
                if self._is_worth_it(standing):
                    await self._compute()
            except DatabaseFailed:
                continue

    def _is_worth_it(self, standing: Standing) -> bool:
        if self._digests is not None and self._digests.inbox[:2] == standing.inbox[:2]:
            return False
        now, changed_at = self._clock(), max((t.at for t in standing.tables.values()), default=0.0)
        return now - changed_at > QUIET_SECONDS or now - self._digested_at > LONGEST_SECONDS

    async def _compute(self) -> Digests:
        self._digests = await read_digests(self._database)
        self._digested_at = self._clock()
        return self._digests

    def _table(self, standing: Standing, number: str) -> dict[str, object]:
        counts = standing.tables.get(number, Counts())
        known, digests = TABLES.get(number), self._digests
        found = digests.tables if digests is not None else ()
        digest = next((each.digest for each in found if each.table == number), "")
        is_current = digests is not None and digests.inbox[:2] == standing.inbox[:2]
        return {
            "number": number,
            "chinese": known.chinese if known else "?",
            "name": known.name if known else number,
            "cadence": known.cadence.chinese if known else "",
            **counts._asdict(),
            "digest": digest,
            "digest_is_current": is_current,
        }

    async def _epp(self) -> dict[str, object]:
        registry = self._office.registry
        waiting, _ = await registry.head()
        return {
            "decide_seconds": self._office.registrar.policy.decide_seconds,
            "queue": waiting,
            "enterprises": [each._asdict() for each in await registry.enterprises()],
            "prefixes": [each._asdict() for each in await registry.prefixes()],
        }

    def _surroundings(self) -> dict[str, object]:
        """What is told beside the tables and EPP."""
        heartbeat, faults = self._channel.heartbeat_heard, self._office.mischief.faults
        return {
            "heartbeat": None if heartbeat is None else heartbeat._asdict(),
            "skew_seconds": self._channel.skew_seconds,
            "probes": [each._asdict() for each in self._prober.probes],
            "routes": [each.plain() for each in self._routes()][:SHOWN_REJECTIONS],
            "native_answers": self._answers.count,
            "witness": self._office.watch.plain(),
            "faults": faults.plain(),
            "faults_on": faults.names,
            "snapshots": self._office.copies.names(),
            "keys": sorted(self._office.papers.keys),
        }


def _inbox(standing: Standing) -> dict[str, object]:
    inbox = standing.inbox
    return {
        "session": inbox.session,
        "serial": inbox.serial,
        "position": list(inbox.position),
        "complete": inbox.position == END,
        "complete_at": standing.complete_at,
        "acknowledged_at": standing.acknowledged_at,
        "arrivals": standing.arrivals,
    }


def _number(text: str, most: int) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) < 20
    return int(text) if is_number and 0 <= int(text) <= most else None
