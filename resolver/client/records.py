"""Records: read and change the records of a node over HTTP, as the command line does.

    async with Client("https://id.example.cn", Basic("300:88.1/ADMIN", secret)) as client:
        written = await client.put("88.1/pump-1", (HandleValue(1, b"URL", b"https://example.cn/1"),))

It speaks the Handle JSON API, and our own where a server has no other (the admin listener).  A write that finds no
answer is sent again with the same idempotency key, so that it is carried out once; a minted name and an addition, which
would do harm twice, only where the server has said in an earlier answer that it honours such keys.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast
from urllib.parse import urlsplit
from uuid import uuid4

from resolver.client import handles, v1
from resolver.client.credentials import Credentials, check_way, tls_context
from resolver.client.dialect import Dialect
from resolver.client.documents import Document, Query, ask_document, read_document
from resolver.client.exchange import ATTEMPT_SECONDS, Asked, Exchange, Received, Sleep
from resolver.client.failures import Busy, ClientError, NotOffered, Refusal, failure
from resolver.client.outcomes import Page, Record, Revisions, Written
from resolver.identifier import Identifier
from resolver.precondition import read_precondition
from resolver.registrar import Operation, Write
from resolver.schemes import parse
from resolver.wire import HandleValue, ResponseCode

_HANDLES, _V1 = cast("Dialect", handles), cast("Dialect", v1)
_NO_SUCH_PATH = (404, 405)
_Read = TypeVar("_Read")

Name = str | Identifier
Values = tuple[HandleValue, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a write is made.

    `if_version`: it must be the record's (`resolver.registrar.MUST_EXIST`: any; 0: there must be none).  `reason` goes
    into the history.  `idempotency_key` takes up an earlier write whose end is not known; else a new key is made.
    """

    if_version: int | None = None
    reason: str = ""
    idempotency_key: str = ""

    def __post_init__(self) -> None:
        """Raises ClientError for what could not be sent."""
        try:
            self.reason.encode()
            if self.idempotency_key:
                read_precondition(None, None, self.idempotency_key)
        except ValueError as error:  # a TargetError, or half of a surrogate pair
            raise ClientError(f"this cannot be sent: {error}") from error


ANY_TERMS = Terms()


class Client:
    """One server, asked as one caller (as nobody, without credentials).

    Identifiers are text of any scheme, or parsed.  Every method raises ClientError: NodeUnreachable when nothing comes
    back, or what kind of Refused the server's answer is; IdentifierError for a text that is no identifier.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials | None = None,
        *,
        ca_file: Path | None = None,
        cleartext: bool = False,
        sleep: Sleep = asyncio.sleep,
        attempt_seconds: float = ATTEMPT_SECONDS,
    ) -> None:
        """`ca_file` (PEM) are the authorities to trust; `cleartext` allows secrets over plain HTTP.

        Raises InsecureLogin, and ClientError for a URL or a file that cannot be used.
        """
        check_way(url, credentials, cleartext=cleartext)
        is_tls = urlsplit(url).scheme == "https"
        context = tls_context(credentials, ca_file) if is_tls else None
        headers = credentials.headers() if credentials is not None else {}
        self._exchange = Exchange(
            url, headers, context, sleep=sleep, attempt_seconds=attempt_seconds
        )
        self._dialect = _HANDLES

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._exchange.close()

    async def get(self, name: Name) -> Record:
        """Return a record with all values that the caller may read, from the truth."""
        identifier = _parsed(name)
        return await self._ask(
            lambda dialect: dialect.ask_record(identifier),
            lambda dialect, received: dialect.read_shown(received, identifier.text),
        )

    async def put(
        self,
        name: Name,
        values: Values,
        terms: Terms = ANY_TERMS,
        *,
        overwrite: bool = True,
        mint: bool = False,
    ) -> Written:
        """Create a record, or replace it with `overwrite`; `mint` appends a UUID to the name, or to the prefix."""
        if mint and isinstance(name, str) and name.find("/") == len(name) - 1:
            name = name[:-1]  # `88.1/` means the prefix itself: only that can be read
        write = _write(Operation.CREATE, name, terms, values)
        return await self._write(replace(write, overwrite=overwrite and not mint, mint=mint))

    async def add(
        self, name: Name, values: Values, terms: Terms = ANY_TERMS, *, overwrite: bool = False
    ) -> Written:
        """Add values whose indexes are free; with `overwrite` those there are replaced."""
        return await self._write(
            replace(_write(Operation.ADD, name, terms, values), overwrite=overwrite)
        )

    async def modify(self, name: Name, values: Values, terms: Terms = ANY_TERMS) -> Written:
        """Replace values whose indexes are there; the Handle JSON API is first asked whether they are."""
        write = _write(Operation.MODIFY, name, terms, values)
        if self._dialect is _HANDLES:
            record = await self.get(write.identifier)
            if self._dialect is _HANDLES:
                _require(record, {value.index for value in values})
        return await self._write(write)

    async def remove(
        self, name: Name, indexes: tuple[int, ...], terms: Terms = ANY_TERMS
    ) -> Written:
        """Remove values by index."""
        return await self._write(
            replace(_write(Operation.REMOVE, name, terms), indexes=tuple(indexes))
        )

    async def delete(self, name: Name, terms: Terms = ANY_TERMS) -> Written:
        """Delete a record; a tombstone with the reason stays."""
        return await self._write(_write(Operation.DELETE, name, terms))

    async def revert(self, name: Name, version: int, terms: Terms = ANY_TERMS) -> Written:
        """Make a record what it was at a version; on the admin listener only."""
        self._dialect = _V1
        return await self._write(replace(_write(Operation.REVERT, name, terms), to_version=version))

    async def list(self, prefix: str, after: str = "", limit: int = 1_000) -> Page:
        """Return names under a prefix, those after where the last page ended."""
        return await self._ask(
            lambda dialect: dialect.ask_page(prefix, after, limit),
            lambda dialect, received: dialect.read_page(received, after, limit),
        )

    async def history(self, name: Name, before: int = 0, limit: int = 100) -> Revisions:
        """Return the newest revisions of a record, those before a version; on the admin listener only."""
        asked = v1.ask_history(_parsed(name), before, limit)
        return v1.read_history(await self._exchange.ask(asked))

    async def document(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: object = None,
        if_version: int | None = None,
    ) -> Document:
        """Ask our admin listener for a JSON document, or hand one in; `path` is percent-encoded (`path_of`)."""
        asked = ask_document(method, path, query=query, body=body, if_version=if_version)
        return read_document(await self._exchange.ask(asked))

    async def _write(self, write: Write, only: Dialect | None = None) -> Written:
        try:
            return await self._ask(
                lambda dialect: dialect.ask_write(write),
                lambda dialect, received: dialect.read_written(received, write.identifier.text),
                only,
            )
        except Busy as busy:
            busy.idempotency_key = write.idempotency_key
            raise

    async def _ask(
        self,
        ask: Callable[[Dialect], Asked],
        read: Callable[[Dialect, Received], _Read],
        only: Dialect | None = None,
    ) -> _Read:
        """Ask by the Handle JSON API, and by our own when the server has no such path; from then on by that."""
        dialect = only or self._dialect
        received = await self._exchange.ask(ask(dialect))
        try:
            return read(dialect, received)
        except NotOffered as error:
            if dialect is _V1 or error.status not in _NO_SUCH_PATH:
                raise
        received = await self._exchange.ask(ask(_V1))
        self._dialect = _V1
        return read(_V1, received)


def _parsed(name: Name) -> Identifier:
    return parse(name) if isinstance(name, str) else name


def _write(operation: Operation, name: Name, terms: Terms, values: Values = ()) -> Write:
    return Write(
        operation=operation,
        identifier=_parsed(name),
        values=tuple(values),
        if_version=terms.if_version,
        reason=terms.reason,
        idempotency_key=terms.idempotency_key or uuid4().hex,
    )


def _require(record: Record, indexes: set[int]) -> None:
    missing = indexes - {value.index for value in record.values}
    if missing:
        said = "nothing was changed; missing: " + ", ".join(map(str, sorted(missing)))
        raise failure(Refusal(400, ResponseCode.VALUES_NOT_FOUND, said))
