"""Registrar: the one port through which every edge writes; `node.registry` implements it.

Every edge (HTTP, native, command line, bulk) says what it wants as a `Write` and is told a `Verdict`.  Laws: a write is
applied whole or not at all, with its version, its invalidation and its change; a verdict of SUCCESS is durable; the
order of the checks is the registrar's, so that no two edges differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from resolver.identifier import Identifier
from resolver.wire import HandleValue, ResponseCode

MUST_EXIST = -1
"""As `if_version`: any version will do, but there must be a record (`If-Match: *`)."""


class Operation(StrEnum):
    """What is done to a record, or to a prefix."""

    CREATE = "create"  # the whole record; with `overwrite` it may be there already, and is replaced
    ADD = "add"  # values with indexes that are free; with `overwrite` those there are replaced
    MODIFY = "modify"  # values whose indexes are there
    REMOVE = "remove"  # values by index
    DELETE = "delete"  # the whole record; a tombstone stays
    REVERT = "revert"  # the whole record, as it was at `to_version`
    HOME = "home"  # answer for this prefix from now on
    UNHOME = "unhome"  # answer for it no more; its records stay


class Scope(StrEnum):
    """What an API token may be used for."""

    READ = "read"  # values that are not public
    WRITE = "write"
    LIST = "list"
    OPERATE = (
        "operate"  # the node itself: prefixes, tokens, jobs; what jobs do takes the scopes for it
    )


OPERATOR = "operator"  # the means of who brings the operator token, or stands at the node itself


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has been proven to ask: the key at value `index` of the record with canonical key `handle`.

    `means` says how it was proven (basic, certificate, challenge, session, login, token, operator) and goes into the
    version.  A token limits what its owner may do: to `scopes`, and to `prefixes` (canonical names; none: all).
    An operator is no handle's key but the node's own: it may do everything.
    """

    handle: bytes
    index: int
    means: str
    scopes: frozenset[Scope] | None = None  # None: no token, no limit
    prefixes: tuple[bytes, ...] = ()
    is_operator: bool = False

    @property
    def name(self) -> str:
        """`index:handle`, as it is written in versions and logs; an operator without a handle is `operator`."""
        if self.is_operator and not self.handle:
            return OPERATOR
        return f"{self.index}:{self.handle.decode('utf-8', 'replace')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write.

    `caller` is None while nobody has proven anything: the verdict is then AUTHENTICATION_NEEDED, unless something is
    wrong that needs no identity to be told.  `mint` (CREATE): the identifier is the start of a handle, or the prefix
    handle of the prefix it is to stand under, and the registrar appends a UUID; the verdict tells the whole handle.
    `if_version` must be the record's version (MUST_EXIST: any; 0: there must be none; None: no condition).
    A second write of the same caller with the same `idempotency_key` within a day is given the first one's verdict.
    """

    operation: Operation
    identifier: Identifier
    values: tuple[HandleValue, ...] = ()
    indexes: tuple[int, ...] = ()
    overwrite: bool = False
    mint: bool = False
    caller: Caller | None = None
    origin: str = ""  # from where: transport and address, such as "tcp 192.0.2.7"
    reason: str = ""  # why, in the caller's words
    if_version: int | None = None
    to_version: int = 0
    idempotency_key: str = ""


class Verdict(NamedTuple):
    """What became of a write: the Handle response code says it, and `message` explains.

    `created`: nothing that was there has been replaced.  `handle` is the record's own spelling (a minted one's, too),
    `version` its version afterwards.  `condition_failed`: `if_version` did not hold; `version` is what is there.
    `replayed`: this is what an earlier write with the same idempotency key was told.
    """

    code: ResponseCode
    message: str = ""
    created: bool = False
    handle: bytes = b""
    version: int = 0
    condition_failed: bool = False
    replayed: bool = False


class Reading(NamedTuple):
    """The values of a record that a caller may read (HS_SECKEY never), in stored order, or why there are none."""

    code: ResponseCode
    message: str = ""
    handle: bytes = b""
    values: tuple[HandleValue, ...] = ()
    version: int = 0


class Listing(NamedTuple):
    """Names in the order of their canonical keys, or why there are none.

    `total` counts all there are, -1 when it was not asked for.  `last` is where the next page starts after; empty at
    the end.
    """

    code: ResponseCode
    message: str = ""
    names: tuple[bytes, ...] = ()
    total: int = -1
    last: bytes = b""


class Revision(NamedTuple):
    """One step in the life of a record: what was done, by whom, from where and why, and what there was afterwards.

    `values` is None after a deletion; secret keys, and what not even administrators may read, are left out of it.
    """

    version: int
    serial: int
    at: int  # epoch second
    operation: Operation
    caller: str
    means: str
    origin: str
    reason: str
    values: tuple[HandleValue, ...] | None


class History(NamedTuple):
    """The newest revisions first, or why there are none."""

    code: ResponseCode
    message: str = ""
    revisions: tuple[Revision, ...] = ()


class Registrar(Protocol):
    """What the edges may ask.  Each method raises SourceUnavailable when Postgres is away: busy, try again.

    After a write that ended so nobody knows whether it was applied; the same write with the same idempotency key finds
    out.
    """

    async def write(self, write: Write) -> Verdict:
        """Carry out a write."""
        ...

    async def read(self, identifier: Identifier, caller: Caller | None) -> Reading:
        """Return the values that the caller may read, from the database itself.

        Without a caller, or one without the right to read: public ones only.
        """
        ...

    async def list_handles(
        self,
        prefix: Identifier,
        caller: Caller | None,
        *,
        after: bytes = b"",
        skip: int = 0,
        limit: int = 1_000,
        count: bool = False,
    ) -> Listing:
        """Return handles under a prefix (its prefix handle): `limit` after a canonical key, less the first `skip`."""
        ...

    async def list_prefixes(
        self,
        caller: Caller | None,
        *,
        after: bytes = b"",
        skip: int = 0,
        limit: int = 1_000,
        count: bool = False,
    ) -> Listing:
        """Return the prefixes homed here, in their registered spelling, in the same way."""
        ...

    async def history(
        self, identifier: Identifier, caller: Caller | None, *, before: int = 0, limit: int = 100
    ) -> History:
        """Return the newest revisions of a record, those before version `before` (0: from the newest)."""
        ...


class KeyStore(Protocol):
    """Where keys are looked up that prove who asks."""

    async def keys(self, handle: bytes) -> Sequence[HandleValue] | None:
        """Return all values of the record with this canonical key, secret keys in the clear; None: no such record.

        For authentication alone: nothing of it may be shown or kept.  Raises SourceUnavailable.
        """
        ...
