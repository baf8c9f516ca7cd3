"""Events: what happens once to a record or a prefix while it is watched, straight in Postgres or over HTTP."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from loadtest import administrators
from loadtest.watch import ELSEWHERE, FOUND, NO_SUCH_HANDLE, REFERRED, Subject
from loadtest.web_writer import creation, deletion
from node.store.changes import ChangeKind, append_changes
from node.store.database import Connection
from node.store.prefixes import PrefixRow, PrefixState, write_prefixes
from resolver.handlejson import values_to_json
from resolver.wire import HandleValue, encode_values

HOME = administrators.HOME.encode()
MAX_EVENTS = 100_000  # of one run

_PUT = """
insert into record (key, prefix, handle, ttl, wire, json) values ($1, $2, $3, 86400, $4, $5)
on conflict (key) do update set wire = excluded.wire, json = excluded.json
"""
_DELETE = "delete from record where key = $1"
_UNHOME = "delete from prefix where prefix = $1"

Change = tuple[bytes, ChangeKind]
Act = Callable[[Connection], Awaitable[Sequence[Change]]]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens once to a subject: `prepare` before anybody asks, `happen` when it is watched.

    With `request` it happens over HTTP.
    """

    subject: Subject
    prepare: Act
    happen: Act
    request: bytes = b""


def make_events(count: int, seed: int, *, web: bool = False) -> list[Event]:
    """Return things that happen to records and prefixes, in turns of each kind; other ones for each seed.

    With `web` some happen over HTTP.
    """
    kinds = (_appears, _vanishes, _is_let_go, _is_delegated, _is_homed)
    chosen = (*kinds, _is_created, _is_deleted) if web else kinds
    return [
        kind(seed * MAX_EVENTS + number) for number, kind in enumerate(islice(cycle(chosen), count))
    ]


def _appears(number: int) -> Event:
    handle = b"%b/appears-%d" % (HOME, number)
    return Event(Subject(handle, {NO_SUCH_HANDLE: 0, FOUND: 1}), _nothing, put(handle, 1))


def _vanishes(number: int) -> Event:
    handle = b"%b/vanishes-%d" % (HOME, number)

    async def delete(connection: Connection) -> list[Change]:
        await connection.execute(_DELETE, handle.upper())
        return [(handle.upper(), ChangeKind.RECORD)]

    return Event(Subject(handle, {FOUND: 0, NO_SUCH_HANDLE: 1}), put(handle, 0), delete)


def _is_created(number: int) -> Event:
    handle = b"%b/created-%d" % (HOME, number)
    subject = Subject(handle, {NO_SUCH_HANDLE: 0, FOUND: 1})
    return Event(subject, _nothing, _nothing, creation(handle, number))


def _is_deleted(number: int) -> Event:
    handle = b"%b/deleted-%d" % (HOME, number)
    subject = Subject(handle, {FOUND: 0, NO_SUCH_HANDLE: 1})
    return Event(subject, put(handle, 0), _nothing, deletion(handle, number))


def _is_let_go(number: int) -> Event:
    prefix, before = _homed_record(number)

    async def let_go(connection: Connection) -> list[Change]:
        await connection.execute(_UNHOME, prefix)
        return [(prefix, ChangeKind.PREFIX)]

    return Event(_below(prefix, {FOUND: 0, ELSEWHERE: 1}), before, let_go)


def _is_delegated(number: int) -> Event:
    prefix, before = _homed_record(number)
    codes = {FOUND: 0, REFERRED: 1}
    return Event(_below(prefix, codes), before, set_home(prefix, PrefixState.DELEGATED))


def _is_homed(number: int) -> Event:
    prefix = b"88.2000.%d" % number
    before = put(_below(prefix, {}).handle, 0)
    codes = {ELSEWHERE: 0, FOUND: 1}
    return Event(_below(prefix, codes), before, set_home(prefix, PrefixState.HOMED))


def _homed_record(number: int) -> tuple[bytes, Act]:
    prefix = b"88.2000.%d" % number

    async def prepare(connection: Connection) -> list[Change]:
        homed = await set_home(prefix, PrefixState.HOMED)(connection)
        return [*homed, *await put(_below(prefix, {}).handle, 0)(connection)]

    return prefix, prepare


def _below(prefix: bytes, codes: Mapping[int, int]) -> Subject:
    return Subject(prefix + b"/below", codes)


async def _nothing(_connection: Connection) -> list[Change]:
    return []


def put(handle: bytes, number: int) -> Callable[[Connection], Awaitable[list[Change]]]:
    """Return the act that gives a record a number, creating it if need be."""

    async def put_it(connection: Connection) -> list[Change]:
        value = HandleValue(1, b"URL", b"http://idnode.test/#%d#" % number)
        key, prefix = handle.upper(), handle.partition(b"/")[0]
        encoded = (encode_values([value]), values_to_json([value]))
        await connection.execute(_PUT, key, prefix, handle, *encoded)
        return [(key, ChangeKind.RECORD)]

    return put_it


def set_home(prefix: bytes, state: PrefixState) -> Callable[[Connection], Awaitable[list[Change]]]:
    """Return the act that homes or delegates a prefix."""

    async def set_it(connection: Connection) -> list[Change]:
        await write_prefixes(connection, [PrefixRow(prefix, prefix.decode(), state)])
        return [(prefix, ChangeKind.PREFIX)]

    return set_it


async def append(connection: Connection, changes: Sequence[Change]) -> int:
    """Append changes, last in a transaction; return the serial."""
    keys, kinds = [key for key, _ in changes], [kind for _, kind in changes]
    return await append_changes(connection, keys, kinds)
