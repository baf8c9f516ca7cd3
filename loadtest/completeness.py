"""Completeness: is what Postgres holds whole, and does every worker say the same?

Held to, for each record: its versions are explained by the journal; they are numbered without a gap; the record is at
the newest one, and its columns say the same; every version has its change.  For all: serials without a gap, the counter
at the last of them, and no change of a record without its version.  Then every worker, over UDP, TCP and HTTP.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loadtest.exchange import http_request, native_request
from loadtest.journal import Journal, State, Version, explain
from loadtest.watch import Link
from node.store.database import Connection, Row
from resolver.handlejson import values_to_json
from resolver.observe import Protocol
from resolver.wire import (
    HandleValue,
    Message,
    ResolutionAnswer,
    ResponseCode,
    decode_answer,
    decode_values,
)

DATAGRAM_VALUES = 8  # of ours; an answer with more does not fit a datagram
_VERSIONS = """
select version.key, version.version, version.operation, version.before, version.serial, change.key
from version left join change using (serial) where version.key = any($1::bytea[])
order by version.key, version.version
"""
_RECORDS = """
select key, version, gone is not null, wire, json, whole from record where key = any($1::bytea[])
"""
_SERIALS = """
select counter.serial, count(change.serial), min(change.serial), max(change.serial),
    count(*) filter (where change.kind = 0
        and not exists (select 1 from version where version.serial = change.serial))
from change_counter counter left join change on true group by counter.serial
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """What Postgres holds of one record."""

    state: State
    versions: Sequence[Version]
    faults: Sequence[str]


async def read_stored(connection: Connection, handles: Sequence[str]) -> dict[str, Stored]:
    """Return what is stored of each of these records, that there is none included."""
    keys = [_key(handle) for handle in handles]
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(_RECORDS, keys)
        steps = await connection.fetch(_VERSIONS, keys)
    records = {row[0]: row for row in rows}
    return {
        handle: _stored(records.get(key), [step for step in steps if step[0] == key])
        for handle, key in zip(handles, keys, strict=True)
    }


def _stored(record: Row | None, steps: Sequence[Row]) -> Stored:
    if record is None:
        faults = [f"{len(steps)} versions of a record that is not there"] if steps else []
        return Stored(None, [], faults)
    _, version, is_gone, wire, shown, whole = record
    values = decode_values(whole if whole is not None else wire)
    state = None if is_gone else _texts(values)
    left = [None if step[3] is None else _texts(decode_values(step[3])) for step in steps[1:]]
    versions = [
        Version(step[1], step[2], after)
        for step, after in zip(steps, [*left, state], strict=bool(steps))
    ]
    return Stored(state, versions, list(_halves(version, values, wire, shown, steps)))


def _halves(
    version: int, values: Sequence[HandleValue], wire: bytes, shown: bytes, steps: Sequence[Row]
) -> Iterator[str]:
    """Say what of a record was written without the rest."""
    if not steps or steps[-1][1] != version:
        yield f"the record is at version {version}, its newest one is {steps[-1][1] if steps else 0}"
    if steps and steps[0][3] is not None:
        yield "there was something before the first version"
    public = [value for value in values if value.permissions & 2]
    if list(decode_values(wire)) != public or json.loads(shown) != json.loads(
        values_to_json(public)
    ):
        yield f"its columns differ: {wire!r} and {shown!r}"
    for step in steps:
        if step[5] != step[0]:
            yield f"version {step[1]} has no change with its serial {step[4]}"


async def check_serials(connection: Connection) -> list[str]:
    """Return what is wrong with the numbering of changes; none may have been pruned yet."""
    counter, count, least, most, alone = (await connection.fetch(_SERIALS))[0]
    faults = []
    if (least, most, count) != (1, counter, counter):
        faults.append(f"{count} changes from {least} to {most}, and the counter is at {counter}")
    if alone:
        faults.append(f"{alone} changes of records have no version")
    return faults


def check_record(handle: str, stored: Stored, journal: Journal) -> Iterator[str]:
    """Say what is wrong with one record, by itself and by what its writers were told."""
    for fault in (*stored.faults, *explain(stored.versions, journal)):
        yield f"{handle}: {fault}"


async def check_answers(links: Sequence[Link], stored: Mapping[str, Stored]) -> list[str]:
    """Ask every link for every record; return what differs from Postgres."""
    faults = []
    for link in links:
        for handle, truth in stored.items():
            if link.protocol is Protocol.UDP and len(truth.state or ()) > DATAGRAM_VALUES:
                continue
            try:
                said = await ask(link, handle)
            except (OSError, EOFError, TimeoutError) as error:
                faults.append(f"{link.protocol}@{link.slot}: {handle}: no answer: {error!r}")
                break
            if said != truth.state:
                faults.append(
                    f"{link.protocol}@{link.slot}: {handle} is {truth.state} in Postgres, and {said} there"
                )
    return faults


async def ask(link: Link, handle: str) -> State:
    """Return what a worker says of a record.  Raises OSError, EOFError, TimeoutError; ConnectionError for "busy"."""
    if link.protocol is Protocol.HTTP_JSON:
        request = http_request(handle.encode(), "idnode.test")
        said = json.loads((await _once(link, request)).partition(b"\r\n\r\n")[2])
        code, values = said["responseCode"], said.get("values", [])
        found = {each["index"]: str(each["data"]["value"]) for each in values}
    else:
        message = Message.decode(await _once(link, native_request(handle.encode(), 1)))
        code, body = message.header.response_code, decode_answer(message)[1]
        found = _texts(body.values) if isinstance(body, ResolutionAnswer) else {}
    if code == ResponseCode.HANDLE_NOT_FOUND:
        return None
    if code not in (ResponseCode.SUCCESS, ResponseCode.VALUES_NOT_FOUND):
        raise ConnectionError(f"code {code}")
    return found


async def _once(link: Link, request: bytes) -> bytes:
    """Ask; a datagram twice, since it may get lost."""
    try:
        return (await link.ask([request]))[0]
    except TimeoutError:
        if link.protocol is not Protocol.UDP:
            raise
    return (await link.ask([request]))[0]


def _texts(values: Sequence[HandleValue]) -> dict[int, str]:
    return {value.index: value.data.decode() for value in values}


def _key(handle: str) -> bytes:
    return handle.upper().encode()
