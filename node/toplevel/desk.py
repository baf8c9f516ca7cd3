"""Desk: where a person decides, demands corrections, switches faults, and hands in keys: the page's POSTs.

Laws.  Only JSON is taken, and only under a name that is this listener's own: a page of somebody else's in the same
browser can send neither.  Whatever cannot be carried out is answered with a problem document that says what would be.
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from node.ledger.keys import NoteError
from node.toplevel.copies import Copies, CopyError
from node.toplevel.database import DatabaseFailed
from node.toplevel.faults import FaultError
from node.toplevel.inbox import NoSuchRow, SqliteInbox
from node.toplevel.journal import Journal
from node.toplevel.judging import ACROSS
from node.toplevel.mischief import Mischief
from node.toplevel.papers import Papers
from node.toplevel.registrar import PASSED_MESSAGE, Policy, Registrar
from node.toplevel.registry import NoSuchApplication, Registry
from node.toplevel.watch import Watch
from resolver.problem import PROBLEM_TYPE, Problem
from resolver.target import BodyTooLarge, read_body
from sync.change import ChangeError, Place, check_place

MAX_BODY_BYTES = 65_536
MAX_WAIT_SECONDS = 30 * 86_400
MAX_MESSAGE_CHARACTERS = 500
JSON_TYPE = "application/json"
NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

Json = Mapping[str, object]


class Asking(Exception):
    """What was asked cannot be; the text says what can."""


class Office(NamedTuple):
    """What the desk acts upon."""

    inbox: SqliteInbox
    registry: Registry
    registrar: Registrar
    mischief: Mischief
    copies: Copies
    papers: Papers
    watch: Watch
    journal: Journal


class Desk:
    """The endpoints that change something."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def faults(self, request: Request) -> Response:
        """POST `/faults`: switch faults on and off."""
        return await self._serve(request, self._switch)

    async def decisions(self, request: Request) -> Response:
        """POST `/epp/decisions`: grant or refuse a prefix."""
        return await self._serve(request, self._decide)

    async def policy(self, request: Request) -> Response:
        """POST `/epp/policy`: how prefixes are decided from now on."""
        return await self._serve(request, self._set_policy)

    async def corrections(self, request: Request) -> Response:
        """POST `/corrections`: reject a row that was taken."""
        return await self._serve(request, self._correct)

    async def snapshots(self, request: Request) -> Response:
        """POST `/snapshots`: make a copy of the tables."""
        return await self._serve(request, self._copy)

    async def restore(self, request: Request) -> Response:
        """POST `/restore`: go back to a copy."""
        return await self._serve(request, self._restore)

    async def keys(self, request: Request) -> Response:
        """POST `/keys`: take public keys of the node, or one no longer."""
        return await self._serve(request, self._keys)

    async def logs(self, request: Request) -> Response:
        """POST `/logs`: watch a log, as its witness."""
        return await self._serve(request, self._watch)

    async def _serve(self, request: Request, work: Callable[[Json], Awaitable[object]]) -> Response:
        try:
            return answer_json(await work(await self._read(request)))
        except (FaultError, CopyError, ChangeError, NoteError, Asking, ValueError) as error:
            return refuse(HTTPStatus.UNPROCESSABLE_ENTITY, "wrong", str(error))
        except (NoSuchApplication, NoSuchRow) as error:
            return refuse(HTTPStatus.NOT_FOUND, "not_found", str(error))
        except (DatabaseFailed, OSError) as error:
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "not_stored", str(error))
        except ClientDisconnect:
            return refuse(HTTPStatus.BAD_REQUEST, "cut_off", "the request was cut off")

    async def _read(self, request: Request) -> Json:
        if request.headers.get("content-type", "").partition(";")[0].strip() != JSON_TYPE:
            raise Asking(f"send JSON: Content-Type: {JSON_TYPE}")
        try:
            given = orjson.loads(await read_body(request.stream(), MAX_BODY_BYTES))
        except (orjson.JSONDecodeError, BodyTooLarge) as error:
            raise Asking(f"this is no JSON of at most {MAX_BODY_BYTES} bytes: {error}") from error
        if not isinstance(given, dict):
            raise Asking("send a JSON object")
        return given

    async def _switch(self, given: Json) -> object:
        return (await self._office.mischief.switch(given)).plain()

    async def _decide(self, given: Json) -> object:
        prefix, passed = _text(given, "prefix"), given.get("pass")
        if not isinstance(passed, bool):
            raise Asking("give pass: true or false")
        message = _text(given, "message", PASSED_MESSAGE if passed else "")  # a refusal needs one
        await self._office.registry.decide(prefix, passed=passed, message=message)
        taken = await self._office.inbox.reconsider(ACROSS) if passed else 0
        self._office.journal.note("granted" if passed else "refused", prefix)
        return {"prefix": prefix, "pass": passed, "rows_taken": taken}

    async def _set_policy(self, given: Json) -> object:
        seconds = given.get("decide_seconds")
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if seconds is not None and not (is_number and 0 <= float(str(seconds)) <= MAX_WAIT_SECONDS):
            raise Asking("decide_seconds is null (by hand), 0 (at once) or a number of seconds")
        self._office.registrar.policy = Policy(None if seconds is None else float(str(seconds)))
        return {"decide_seconds": seconds}

    async def _correct(self, given: Json) -> object:
        place = Place(_text(given, "table"), _text(given, "key", limit=4_096))
        check_place(*place)
        reason = _text(given, "reason")
        rejection = await self._office.inbox.demand_correction(place, reason)
        self._office.journal.note("correction", f"{place.table} {place.key}", is_fault=True)
        return {"table": place.table, "key": place.key, "code": rejection.code, "reason": reason}

    async def _copy(self, given: Json) -> object:
        await self._office.copies.make(_text(given, "name"))
        self._office.journal.note("copied", _text(given, "name"))
        return {"snapshots": self._office.copies.names()}

    async def _restore(self, given: Json) -> object:
        return {"restored": await self._office.mischief.forget(_text(given, "name"))}

    async def _keys(self, given: Json) -> object:
        papers = self._office.papers
        if "remove" in given:
            if not papers.remove_key(_text(given, "remove")):
                raise Asking("there is no such key; GET /keys lists them")
        else:
            papers.add_keys(_text(given, "pem", limit=MAX_BODY_BYTES).encode())
        return {"keys": sorted(papers.keys)}

    async def _watch(self, given: Json) -> object:
        self._office.watch.add(_text(given, "key"))
        return self._office.watch.plain()


def answer_json(body: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return an answer in JSON that nobody keeps."""
    return Response(orjson.dumps(body), status, NO_STORE, media_type=JSON_TYPE)


def refuse(status: HTTPStatus, kind: str, detail: str) -> Response:
    """Return a problem document."""
    body = Problem(status, kind, detail).encode()
    return Response(body, status, NO_STORE, media_type=PROBLEM_TYPE)


def _text(given: Json, name: str, absent: str = "", limit: int = MAX_MESSAGE_CHARACTERS) -> str:
    value = given.get(name, absent)
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise Asking(f"give {name}: a text of 1 to {limit} characters")
    return value
