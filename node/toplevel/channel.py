"""Channel: what the secondary node speaks to, over HTTPS with certificates on both sides; each message is signed.

    POST /sync/v1/messages    a message of `sync.message`, canonical JSON  → 200, its reply
    POST /epp                 an EPP frame                                 → 200, the frame that answers
    POST /sync/v1/heartbeat   how the sender is, a JSON object             → 204

Every answer is signed, with the nonce of what it answers, and says our time.  What faults do is done here, at the last
moment: what was stored stays stored, so that whoever hears nothing has to ask again.
"""

import asyncio
import re
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from random import Random
from time import perf_counter
from typing import NamedTuple

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from node.toplevel.database import DatabaseFailed
from node.toplevel.faults import Clock, Faults
from node.toplevel.inbox import SqliteInbox
from node.toplevel.journal import Journal
from node.toplevel.papers import Papers
from node.toplevel.registrar import Registrar
from resolver.problem import PROBLEM_TYPE, Problem
from resolver.target import BodyTooLarge, read_body
from sync import signature
from sync.message import (
    MAX_MESSAGE_BYTES,
    Ack,
    Delta,
    Digests,
    Hello,
    Message,
    MessageError,
    PeerUnavailable,
    Reply,
    SnapshotPart,
    Welcome,
    encode,
    parse_message,
)
from sync.receiver import receive
from sync.transport import EPP_TYPE, JSON_TYPE, TIME_HEADER

BODY_SECONDS = 30.0  # for a message to arrive
MAX_FRAME_BYTES = 1 << 21
NO_MESSAGES = "1300"  # an empty queue, as EPP says it
MAX_HEARTBEAT_BYTES = 65_536
OLD_REPLIES = 32  # that are kept to be said again
CLOSE = "idnode.close"  # in a request's scope: breaks its connection

GARBAGE = (
    b"<html>502 Bad Gateway</html>",
    b'{"kind":"ack","number":',
    b'{"kind":"welcome","number":1,"session":"another","serial":0,"position":["",""]}',
    b"\xff\xfe\x00\x01" * 64,
    b"",
    b"[" * 100_000,
)
_NONCE = re.compile(r'nonce="([A-Za-z0-9_-]{16,64})"')


class Heartbeat(NamedTuple):
    """What the node last said of itself, and when, POSIX seconds."""

    at: float
    said: dict[str, object]


class Said(NamedTuple):
    """An answer before it is signed."""

    status: int
    body: bytes = b""
    media_type: str = JSON_TYPE


class Channel:
    """The three endpoints; `faults` gives those of the moment, `random` chooses whom they hit."""

    def __init__(
        self,
        inbox: SqliteInbox,
        registrar: Registrar,
        papers: Papers,
        journal: Journal,
        *,
        clock: Clock,
        faults: Callable[[], Faults],
        random: Random,
    ) -> None:
        self._inbox = inbox
        self._registrar = registrar
        self._papers = papers
        self._journal = journal
        self._clock = clock
        self._faults = faults
        self._random = random
        self._nonces = signature.Nonces()
        self._old: defaultdict[str, deque[Response]] = defaultdict(
            lambda: deque(maxlen=OLD_REPLIES)
        )
        self.heartbeat_heard: Heartbeat | None = None
        self.skew_seconds: float | None = (
            None  # of the node's clock before ours, when it last signed
        )

    async def messages(self, request: Request) -> Response:
        """POST `/sync/v1/messages`."""
        return await self._serve(request, self._message, MAX_MESSAGE_BYTES)

    async def epp(self, request: Request) -> Response:
        """POST `/epp`."""
        return await self._serve(request, self._frame, MAX_FRAME_BYTES)

    async def heartbeat(self, request: Request) -> Response:
        """POST `/sync/v1/heartbeat`."""
        return await self._serve(request, self._beat, MAX_HEARTBEAT_BYTES)

    async def _serve(
        self, request: Request, work: Callable[[bytes], Awaitable[Said]], limit: int
    ) -> Response:
        faults, path = self._faults(), request.url.path
        try:
            body = await _body_of(request, limit)
            said = body if isinstance(body, Said) else self._refusal(request, body)
            await asyncio.sleep(faults.slow_ms / 1_000)
            if said is None and isinstance(body, bytes):
                said = await work(body)
        except ClientDisconnect:
            said = _problem(HTTPStatus.BAD_REQUEST, "cut_off")
        response = self._signed(request, said or Said(HTTPStatus.INTERNAL_SERVER_ERROR))
        return await self._spoil(request, path, response, faults)

    def _refusal(self, request: Request, body: bytes) -> Said | None:
        """Return what is said to who does not sign rightly; None to who does."""
        parts = signature.Request(request.method, request.url.path, body)
        try:
            verified = signature.verify(
                parts, request.headers, self._papers.keys, now=self._clock(), seen=self._nonces
            )
        except signature.SignatureFailed as error:
            if error.fault is signature.Fault.CLOCK:
                self.skew_seconds = error.skew_seconds
            self._journal.note("unsigned", str(error), is_fault=True)
            return _problem(HTTPStatus.UNAUTHORIZED, error.fault, str(error))
        self.skew_seconds = _told_skew(request, verified.skew_seconds, self._clock())
        return None

    async def _message(self, body: bytes) -> Said:
        began = perf_counter()
        try:
            message = parse_message(body)
            reply = await self._reply(message)
        except MessageError as error:
            self._journal.note("unreadable", str(error), is_fault=True)
            return _problem(HTTPStatus.BAD_REQUEST, "no_message", str(error))
        except (PeerUnavailable, DatabaseFailed) as error:
            self._journal.note("not_stored", str(error), is_fault=True)
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_stored", str(error))
        self._tell(message, reply, perf_counter() - began)
        return Said(HTTPStatus.OK, encode(reply))

    async def _reply(self, message: Message) -> Reply:
        """Take a message.  A delta is answered with where we stand, and not taken, while that is news to the sender."""
        if isinstance(message, Hello | Delta) and self._inbox.is_unsettled:
            self._inbox.is_unsettled = False
            if isinstance(message, Delta):
                return Welcome(message.number, *await self._inbox.standing())
        return await receive(message, self._inbox)

    async def _frame(self, body: bytes) -> Said:
        answer = await self._registrar.answer(body)
        code = _code_of(answer)
        if code != NO_MESSAGES:  # it is asked for every two seconds
            self._journal.note("epp", code)
        return Said(HTTPStatus.OK, answer, EPP_TYPE)

    async def _beat(self, body: bytes) -> Said:
        try:
            said = orjson.loads(body)
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            return _problem(HTTPStatus.BAD_REQUEST, "no_heartbeat", "a heartbeat is a JSON object")
        self.heartbeat_heard = Heartbeat(self._clock(), said)
        return Said(HTTPStatus.NO_CONTENT)

    def _tell(self, message: Message, reply: Reply, seconds: float) -> None:
        """Note a message for the page; deltas that bring nothing are not worth a line."""
        rejected = len(reply.rejected) if isinstance(reply, Ack) else 0
        match message:
            case Delta() if isinstance(reply, Welcome):
                text = f"→ {reply.serial}"
            case Delta():
                text = f"{message.after} → {message.until}: {len(message.changes)}"
                self._journal.took(len(message.changes))
            case SnapshotPart():
                text = f"{message.span.after.table or '·'} → {message.span.until.table}: {len(message.rows)}"
                self._journal.took(len(message.rows))
            case Digests():
                agreed = isinstance(reply, Ack) and reply.agreed
                text = f"{message.span.until.table} {'=' if agreed else '≠'}"
            case _:
                text = message.session
        suffix = f", ✗ {rejected}" if rejected else ""
        self._journal.note(message.kind, f"{text}{suffix} · {seconds * 1_000:.0f} ms")

    def _signed(self, request: Request, said: Said) -> Response:
        now, status = self._clock(), int(said.status)
        found = _NONCE.search(
            request.headers.get("signature-input", "")[: signature.MAX_HEADER_CHARACTERS]
        )
        headers = {TIME_HEADER: f"{now:.3f}", "Cache-Control": "no-store"}
        if found is not None:
            answer = signature.Answer(status, said.body)
            headers |= signature.sign(answer, self._papers.signer, created=int(now), nonce=found[1])
        if status == HTTPStatus.NO_CONTENT:
            return Response(b"", status, headers)
        return Response(said.body, status, {**headers, "Content-Type": said.media_type})

    async def _spoil(
        self, request: Request, path: str, response: Response, faults: Faults
    ) -> Response:
        """Do what the faults say; the answer that was made counts among the old ones."""
        old = self._old[path]
        old.append(response)
        if self._hits(faults.losing):
            self._journal.note("lost", path, is_fault=True)
            request.scope[CLOSE]()
            await asyncio.sleep(0)  # until the connection knows
            return response
        if self._hits(faults.wrong):
            self._journal.note("garbage", path, is_fault=True)
            return Response(self._random.choice(GARBAGE), HTTPStatus.OK, media_type=JSON_TYPE)
        if self._hits(faults.replaying):
            self._journal.note("replayed", path, is_fault=True)
            return self._random.choice([*old][:-1] or [response])
        return response

    def _hits(self, percent: int) -> bool:
        return percent > 0 and self._random.random() * 100 < percent


async def _body_of(request: Request, limit: int) -> bytes | Said:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await read_body(request.stream(), limit)
    except BodyTooLarge as error:
        return _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", str(error))
    except TimeoutError:
        return _problem(HTTPStatus.REQUEST_TIMEOUT, "too_slow", "it did not arrive in time")


def _told_skew(request: Request, signed: float, now: float) -> float:
    """How far the sender's clock is ahead: as signed, to a second; finer when `Idnode-Time` says the same."""
    try:
        told = float(request.headers.get(TIME_HEADER, "")) - now
    except ValueError:
        return signed
    return round(told, 3) if abs(told - signed) <= 1 else signed


def _problem(status: HTTPStatus, kind: str, detail: str = "") -> Said:
    return Said(status, Problem(status, kind, detail).encode(), PROBLEM_TYPE)


def _code_of(answer: bytes) -> str:
    """Return the code of an EPP answer."""
    found = re.search(rb'code="([0-9]{4})"', answer)
    return found[1].decode() if found else ""
